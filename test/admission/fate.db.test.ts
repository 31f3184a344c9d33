import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { PoolClient } from 'pg';
import { voidOf } from '#admission/gate.service.ts';
import { Problem } from '#kernel/problem.ts';
import { type Estate, holdHead, openEstate, type TestGateway, until, waiting } from '../fakes/ledger-estate.ts';
import { admit, change, settle } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const isUnavailable = (error: unknown): boolean => error instanceof Problem && error.code === 'audit_unavailable';

/** Every connection that a gateway has opened, in order. */
function connectionsOf({ pool }: TestGateway): PoolClient[] {
  const clients: PoolClient[] = [];
  pool.on('connect', (client) => clients.push(client));
  return clients;
}

/** The log can be written again and nothing is kept any more. */
const recovered = ({ ledger }: TestGateway) => until(() => ledger.state().available && ledger.state().unsettled === 0);
const log = (estate: Estate) =>
  estate.rows<{ kind: string; outcome: string }>('SELECT kind, outcome FROM entry ORDER BY seq');
const openIntents = (estate: Estate) => estate.value<number>('SELECT count(*)::int FROM open_intent');

describe('a batch whose answer is lost', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  it('is tried again at once, answers `duplicate` and counts once', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw_1');
    const clients = connectionsOf(gateway);
    const head = await holdHead(estate);
    const items = [admit(estate.who), admit(estate.who)];
    const answers = Promise.all(items.map((item) => gateway.ledger.submit(item)));
    await waiting(estate, gateway, 1);
    clients[0]?.connection.stream.destroy();
    // Both the lost statement and its repetition wait; the lost one is first.
    await waiting(estate, gateway, 2);
    await head.release();
    assert.deepEqual(
      (await answers).map(({ verdict, code }) => `${verdict} ${code}`),
      ['duplicate admitted', 'duplicate admitted'],
    );
    assert.equal(await estate.used('requests_day'), 2);
    assert.equal((await log(estate)).length, 2);
    const verdicts = await Promise.all(items.map((item) => gateway.ledger.submit(settle(item))));
    assert.ok(verdicts.every(({ verdict }) => verdict === 'settled'));
  });

  it('tells a change that its first try committed', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw_1');
    const clients = connectionsOf(gateway);
    const head = await holdHead(estate);
    const answer = gateway.ledger.submit(
      change('policy.put', { model: 'm', policy: 'p', sha256: 's', by: 'x', after: 1 }),
    );
    await waiting(estate, gateway, 1);
    clients[0]?.connection.stream.destroy();
    await waiting(estate, gateway, 2);
    await head.release();
    assert.equal((await answer).verdict, 'changed');
    assert.equal((await log(estate)).length, 1);
  });

  it('twice: 503, and what did commit is settled as `not_run` and given back', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw_1', { max: 4 });
    const clients = connectionsOf(gateway);
    const head = await holdHead(estate);
    const item = admit(estate.who, { tokens: 500 });
    const answer = assert.rejects(gateway.ledger.submit(item), isUnavailable);
    await waiting(estate, gateway, 1);
    clients[0]?.connection.stream.destroy();
    await waiting(estate, gateway, 2);
    clients[1]?.connection.stream.destroy();
    await answer;
    await head.release();
    await recovered(gateway);
    assert.deepEqual(await log(estate), [
      { kind: 'intent', outcome: 'admitted' },
      { kind: 'outcome', outcome: 'not_run' },
    ]);
    assert.equal(await openIntents(estate), 0);
    assert.deepEqual([await estate.used('requests_day'), await estate.used('tokens_day')], [0, 0]);
  });

  it('and comes later than its void: its id is taken', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const [late, settled] = [admit(estate.who), admit(estate.who)];
    assert.deepEqual(
      (await commit([voidOf(late)])).map(({ verdict, position }) => [verdict, position]),
      [['late', null]],
    );
    const verdicts = await commit([voidOf(late), late, settled]);
    assert.deepEqual(
      verdicts.map(({ verdict, code }) => `${verdict} ${code}`),
      ['late late_outcome', 'duplicate void', 'admitted null'],
    );
    assert.equal(await estate.used('requests_day'), 1);
    // A void after the outcome changes nothing.
    await commit([settle(settled)]);
    assert.equal((await commit([voidOf(settled)]))[0]?.verdict, 'late');
    assert.equal(await estate.used('requests_day'), 1);
    assert.equal((await log(estate)).length, 2);
  });

  it('in a frozen server: 503 in time, and after the thaw nothing stays open or counted', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw_1', {
      max: 1,
      statementTimeoutMs: 2000,
      queryTimeoutMs: 2001,
      connectTimeoutMs: 200,
    });
    const { ledger, pool } = gateway;
    const held = admit(estate.who);
    await ledger.submit(held);
    const { rows } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const pid = rows[0]?.pid;
    const item = admit(estate.who);
    cluster.freeze();
    try {
      await assert.rejects(ledger.submit(item), isUnavailable);
      // Down: admissions are refused at once, outcomes are kept.
      await assert.rejects(ledger.submit(admit(estate.who)), isUnavailable);
      assert.equal(ledger.state().available, false);
      assert.equal(ledger.state().unsettled, 1);
    } finally {
      cluster.thaw();
    }
    // The backend reads the statement that nobody waits for any more, commits or finds its id taken, and ends.
    await until(
      async () => (await estate.value('SELECT count(*)::int FROM pg_stat_activity WHERE pid = $1', [pid])) === 0,
    );
    assert.equal((await ledger.submit(settle(held))).verdict, 'settled');
    await recovered(gateway);
    assert.equal(await openIntents(estate), 0);
    assert.equal(await estate.used('requests_day'), 1);
    const decided = await estate.value<string>('SELECT verdict FROM dedupe WHERE event_id = $1', [item.id]);
    assert.ok(decided === 'admitted' || decided === 'void');
    // Recovered without a restart.
    assert.equal((await ledger.submit(admit(estate.who))).verdict, 'admitted');
  });

  it('a server that was stopped: 503, outcomes are kept, and it goes on without a restart', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw_1');
    const { ledger } = gateway;
    const held = admit(estate.who);
    await ledger.submit(held);
    await cluster.killServer();
    await assert.rejects(ledger.submit(admit(estate.who)), isUnavailable);
    await assert.rejects(ledger.submit(settle(held)), isUnavailable);
    // The admission too, as its void, where its connection broke only when it was sent.
    assert.ok(ledger.state().unsettled >= 1);
    await cluster.restartServer();
    await recovered(gateway);
    assert.deepEqual(await log(estate), [
      { kind: 'intent', outcome: 'admitted' },
      { kind: 'outcome', outcome: 'completed' },
    ]);
    assert.equal((await ledger.submit(admit(estate.who))).verdict, 'admitted');
  });
});
