import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { postgresLease } from '#admission/lease.postgres.ts';
import { Lease } from '#admission/lease.service.ts';
import { silentLog } from '#kernel/log.ts';
import { type Estate, openEstate, type TestGateway } from '../fakes/ledger-estate.ts';
import { admit, extend, note, settle } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('leases', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const leaseOf = ({ pool, instance }: TestGateway) => postgresLease(pool, instance);
  const sweepBy = async (gateway: TestGateway) => {
    using lease = new Lease({
      monotonic: () => performance.now(),
      ...leaseOf(gateway),
      submit: gateway.ledger.submit.bind(gateway.ledger),
      log: silentLog,
    });
    await lease.sweep();
  };
  const expire = (estate: Estate, instance: string) =>
    estate.dba.query("UPDATE instance SET lease_until = now() - interval '1 ms' WHERE id = $1", [instance]);
  const outcomes = (estate: Estate) =>
    estate.rows<{ outcome: string; intent: string }>(
      "SELECT outcome, record::json->'event'->>'intent' AS intent FROM entry WHERE kind = 'outcome' ORDER BY seq",
    );

  it('a close that would charge another amount than its record says waits for the next sweep', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const [gone, alive] = [estate.gateway('gone'), estate.gateway('alive')];
    const left = admit(estate.who, { tokens: 100 });
    await gone.commit([left]);
    await alive.commit([note()]);
    await expire(estate, 'gone');
    // Not quite gone: it took a slice more after the sweep had looked.
    const [orphan] = await leaseOf(alive).orphans();
    await gone.commit([extend(left, 50)]);
    const [verdict] = await alive.commit([settle(left, orphan?.tokens ?? 0, { op: 'close', outcome: 'unknown' })]);
    assert.equal(verdict?.verdict, 'late');
    assert.deepEqual(await outcomes(estate), []);
    await expire(estate, 'gone');
    await sweepBy(alive);
    const [record] = await estate.rows(
      "SELECT record::json->'event'->'quota_tokens' AS tokens FROM entry WHERE kind = 'outcome'",
    );
    assert.deepEqual([record, await estate.used('tokens_day')], [{ tokens: 150 }, 150]);
  });

  it('closes what a gateway left behind as `unknown`, charged in full, and leaves that of living ones', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const [gone, alive] = [estate.gateway('gone'), estate.gateway('alive')];
    const [left, kept] = [admit(estate.who, { tokens: 700 }), admit(estate.who, { tokens: 50 })];
    await gone.commit([left]);
    await alive.commit([kept]);
    await sweepBy(alive);
    assert.deepEqual(await outcomes(estate), [], 'both leases hold');

    await expire(estate, 'gone');
    const orphans = await leaseOf(alive).orphans();
    assert.deepEqual(orphans, [
      {
        eventId: left.id,
        requestId: left.record.request,
        actor: 'usr_0',
        action: 'infer',
        resource: 'model:demo',
        tokens: 700,
      },
    ]);
    await sweepBy(alive);
    assert.deepEqual(await outcomes(estate), [{ outcome: 'unknown', intent: left.id }]);
    assert.equal(await estate.used('tokens_day'), 750);
    assert.equal(await estate.value('SELECT event_id FROM open_intent'), kept.id);

    // The gateway comes back with an outcome: too late, and on the record.
    const [late] = await gone.commit([settle(left, 1)]);
    assert.deepEqual([late?.verdict, late?.code], ['late', 'late_outcome']);
    assert.equal((await outcomes(estate)).at(-1)?.outcome, 'late_outcome');
    assert.equal(await estate.used('tokens_day'), 750);
    assert.equal((await alive.commit([settle(kept, 20)]))[0]?.verdict, 'settled');
    assert.equal(await estate.used('tokens_day'), 720);
  });

  it('refuses to close an intent whose gateway lives, without a record', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const [one, other] = [estate.gateway('one'), estate.gateway('other')];
    const intent = admit(estate.who);
    await one.commit([intent]);
    const [verdict] = await other.commit([settle(intent, null, { op: 'close', outcome: 'unknown' })]);
    assert.deepEqual([verdict?.verdict, verdict?.position], ['late', null]);
    assert.equal((await one.commit([settle(intent)]))[0]?.verdict, 'settled');
  });

  it('begins a new epoch for a lease that had lapsed, so that what was open before is an orphan', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const gateway = estate.gateway('gw');
    const epoch = () => estate.value<number>("SELECT epoch::int FROM instance WHERE id = 'gw'");
    const [before, undecided] = [admit(estate.who), admit(estate.who)];
    await gateway.commit([before, undecided]);
    await leaseOf(gateway).renew();
    await gateway.commit([note()]);
    assert.equal(await epoch(), 1);

    await expire(estate, 'gw');
    await leaseOf(gateway).renew();
    assert.equal(await epoch(), 2, 'renewed while idle');
    await expire(estate, 'gw');
    const since = admit(estate.who);
    await gateway.commit([since]);
    assert.equal(await epoch(), 3, 'renewed by a batch');
    assert.deepEqual(
      (await leaseOf(gateway).orphans()).map(({ eventId }) => eventId),
      [before.id, undecided.id],
    );
    // Nobody closed it yet: its own outcome still counts, and is the first of the two.
    const [own] = await gateway.commit([
      settle(undecided),
      settle(undecided, null, { op: 'close', outcome: 'unknown' }),
    ]);
    assert.equal(own?.verdict, 'settled');
    await sweepBy(gateway);
    assert.deepEqual(await outcomes(estate), [
      { outcome: 'completed', intent: undecided.id },
      { outcome: 'unknown', intent: before.id },
    ]);
    assert.equal(await estate.value('SELECT event_id FROM open_intent'), since.id);
  });

  it('of two gateways that sweep at once only one closes', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const gone = estate.gateway('gone');
    const intents = Array.from({ length: 20 }, () => admit(estate.who));
    await gone.commit(intents);
    await expire(estate, 'gone');
    await Promise.all(['a', 'b', 'c'].map((name) => sweepBy(estate.gateway(name))));
    assert.equal((await outcomes(estate)).length, 20);
    assert.equal(await estate.used('requests_day'), 20);
  });

  it('a lease is 10 s long by the clock of the database', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const gateway = estate.gateway('gw');
    const clock = () => estate.value<string>('SELECT clock_timestamp()::text');
    for (const renew of [() => leaseOf(gateway).renew(), () => gateway.commit([note()])]) {
      await estate.dba.query("UPDATE instance SET lease_until = lease_until - interval '1 s'");
      const before = await clock();
      await renew();
      const lease = await estate.value(
        "SELECT lease_until - interval '10 s' BETWEEN $1::timestamptz AND clock_timestamp() FROM instance WHERE id = 'gw'",
        [before],
      );
      assert.equal(lease, true);
    }
  });

  it('a batch leaves a lease that is longer than 9 s as it is, and cuts one that is longer than 10 s', async () => {
    await using estate = await openEstate(cluster, { timeRuns: true });
    const gateway = estate.gateway('gw');
    const row = () => estate.rows("SELECT epoch, lease_until, xmin FROM instance WHERE id = 'gw'");
    await gateway.commit([note()]);
    // In the future, and so within the last second for as long as this test takes.
    await estate.dba.query("UPDATE head SET last_at = '2199-01-01T00:00:00Z'");
    await estate.dba.query("UPDATE instance SET lease_until = '2199-01-01T00:00:09.001Z'");
    const before = await row();
    await gateway.commit([note()]);
    assert.deepEqual(await row(), before);
    for (const other of ['2199-01-01T00:00:08.999Z', '2199-01-01T00:00:10.001Z']) {
      await estate.dba.query('UPDATE instance SET lease_until = $1', [other]);
      await gateway.commit([note()]);
      const [after] = await estate.rows<{ lease_until: Date }>('SELECT lease_until FROM instance');
      assert.equal(after?.lease_until.toISOString(), '2199-01-01T00:00:10.000Z');
    }
  });
});
