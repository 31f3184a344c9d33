import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Item, Verdict } from '#admission/admission.ts';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { postgresUsage } from '#quota/quota.postgres.ts';
import { type Estate, openEstate, ZONE } from '../fakes/ledger-estate.ts';
import { admit, SCOPE, settle, type Who } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const admitted = (verdicts: readonly Verdict[]): number =>
  verdicts.filter(({ verdict }) => verdict === 'admitted').length;
const many = (n: number, who: Who, tokens = 10) => Array.from({ length: n }, () => admit(who, { tokens }));

/** Submits everything at once; what the ledger has no room for (1,024 of one subject) is tried again. */
async function submitAll(submit: (item: Item) => Promise<Verdict>, items: readonly Item[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (let from = 0; from < items.length; from += 1000) {
    verdicts.push(...(await Promise.all(items.slice(from, from + 1000).map(submit))));
  }
  return verdicts;
}

describe('promise 13: quotas are exact', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const denials = (estate: Estate) =>
    estate.value<string>("SELECT count(*) FROM entry WHERE kind = 'denial'").then(Number);

  it('admits 40 of 64 that ask in one batch while 40 are left, and says what is left', async () => {
    await using estate = await openEstate(cluster, { requests: 40 });
    const verdicts = await estate.gateway('gw_1').commit(many(64, estate.who));
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      [...Array(40).fill('admitted'), ...Array(24).fill('quota')],
    );
    assert.deepEqual(
      verdicts.slice(0, 40).map(({ quotas }) => quotas[0]?.used),
      Array.from({ length: 40 }, (_, n) => n + 1),
    );
    assert.equal(verdicts[63]?.code, 'requests_day');
    assert.equal(await estate.used('requests_day'), 40);
    assert.equal(await denials(estate), 24);
  });

  it('admits 1,000 of 1,100 over two gateways with 1,000 left, by requests and by tokens', async () => {
    for (const limits of [{ requests: 1000 }, { tokens: 10_000 }]) {
      await using estate = await openEstate(cluster, limits);
      const ledgers = ['gw_1', 'gw_2'].map((name) => estate.gateway(name).ledger);
      const verdicts = await Promise.all(many(1100, estate.who).map((item, n) => ledgers[n % 2]?.submit(item)));
      assert.equal(verdicts.length, 1100);
      assert.equal(admitted(verdicts.filter((verdict) => verdict !== undefined)), 1000);
      assert.equal(await estate.used('requests_day'), 1000);
      assert.equal(await estate.used('tokens_day'), 10_000);
      assert.equal(await estate.value<string>('SELECT count(*) FROM open_intent').then(Number), 1000);
    }
  });

  it('keeps the count over a restart of gateway and server', async () => {
    await using estate = await openEstate(cluster, { requests: 100 });
    {
      await using pool = openPool(estate.database.runtimeUrl, { applicationName: 'before', log: silentLog });
      const first = estate.gateway('before');
      assert.equal(admitted(await submitAll(first.ledger.submit.bind(first.ledger), many(60, estate.who))), 60);
      await pool.query('SELECT 1');
    }
    await cluster.killServer();
    await cluster.restartServer();
    const second = estate.gateway('after');
    const verdicts = await submitAll(second.ledger.submit.bind(second.ledger), many(60, estate.who));
    assert.equal(admitted(verdicts), 40);
    assert.equal(await estate.used('requests_day'), 100);
  });

  it('takes nothing of one kind when the other does not suffice', async () => {
    await using estate = await openEstate(cluster, { requests: 10, tokens: 100 });
    const verdicts = await estate
      .gateway('gw_1')
      .commit([admit(estate.who, { tokens: 101 }), ...many(11, estate.who, 10)]);
    assert.equal(verdicts[0]?.code, 'tokens_day');
    assert.equal(admitted(verdicts), 10);
    assert.equal(await estate.used('requests_day'), 10);
  });

  it('refuses where no limit is set, where the limit is 0, and amounts that are no counts', async () => {
    for (const requests of [null, 0]) {
      await using estate = await openEstate(cluster, { requests });
      const [verdict] = await estate.gateway('gw_1').commit(many(1, estate.who));
      assert.equal(`${verdict?.verdict} ${verdict?.code}`, 'quota requests_day');
    }
    await using estate = await openEstate(cluster);
    const amount = (n: number) => [
      { subject: 'usr_0', kind: 'tokens_day' as const, amount: n, scopes: SCOPE(estate.who) },
    ];
    const verdicts = await estate
      .gateway('gw_1')
      .commit([admit(estate.who, { takes: amount(-5) }), admit(estate.who, { takes: amount(Number.NaN) })]);
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      ['quota', 'quota'],
    );
  });

  it('lets a limit of the user’s own go before those of his roles, and the smallest role count', async () => {
    await using estate = await openEstate(cluster, { requests: 5 });
    const scopes = ['user:usr_0', 'role:analyst', 'role:service'];
    const ask = () => [{ subject: 'usr_0', kind: 'requests_day' as const, amount: 3, scopes }];
    const { commit } = estate.gateway('gw_1');
    await estate.dba.query("INSERT INTO quota_limit VALUES ('role:service', 'requests_day', 2)");
    const [small] = await commit([admit(estate.who, { takes: ask() })]);
    assert.deepEqual(small?.quotas, [{ kind: 'requests_day', limit: 2, used: 0 }]);
    await estate.dba.query("INSERT INTO quota_limit VALUES ('user:usr_0', 'requests_day', 4)");
    const [own] = await commit([admit(estate.who, { takes: ask() })]);
    assert.deepEqual(own?.quotas, [{ kind: 'requests_day', limit: 4, used: 3 }]);
    const usage = await postgresUsage(estate.dba, ZONE).usageToday('usr_0', ['analyst', 'service']);
    assert.deepEqual(usage.requests, { limit: 4, used: 3 });
  });

  it('charges what was used, gives back what did not run, and both at once for who asks next', async () => {
    await using estate = await openEstate(cluster, { requests: 2, tokens: 100 });
    const { commit } = estate.gateway('gw_1');
    const [ran, idle] = many(2, estate.who, 50);
    assert.ok(ran && idle);
    assert.equal(admitted(await commit([ran, idle])), 2);
    // In one batch: the settlements free 50 + 9 tokens and one request before the admission is judged.
    const verdicts = await commit([
      settle(ran, { tokens_day: 41 }),
      settle(idle, { requests_day: 0, tokens_day: 0 }),
      admit(estate.who, { tokens: 60 }),
      admit(estate.who, { tokens: 59 }),
    ]);
    assert.deepEqual(
      verdicts.map(({ verdict, code }) => `${verdict} ${code}`),
      ['settled null', 'settled null', 'quota tokens_day', 'admitted null'],
    );
    assert.equal(await estate.used('requests_day'), 2);
    assert.equal(await estate.used('tokens_day'), 100);
  });

  it('lets more than was reserved count too, before the next admission of the same batch', async () => {
    await using estate = await openEstate(cluster, { tokens: 100 });
    const { commit } = estate.gateway('gw_1');
    const [intent] = many(1, estate.who, 10);
    assert.ok(intent);
    await commit([intent]);
    const verdicts = await commit([settle(intent, { tokens_day: 95 }), admit(estate.who, { tokens: 6 })]);
    assert.equal(verdicts[1]?.verdict, 'quota');
  });

  it('corrects the day of the reservation, not the day of the settlement', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const [intent] = many(1, estate.who, 50);
    assert.ok(intent);
    await commit([intent]);
    // As if it had been admitted yesterday.
    await estate.dba.query('UPDATE open_intent SET day = day - 1');
    await estate.dba.query(
      "INSERT INTO quota_usage SELECT subject, kind, window_start - 1, 500 FROM quota_usage WHERE kind = 'tokens_day'",
    );
    await commit([settle(intent, { tokens_day: 8 })]);
    const days = await estate.rows("SELECT used::int FROM quota_usage WHERE kind = 'tokens_day' ORDER BY window_start");
    assert.deepEqual(days, [{ used: 458 }, { used: 50 }]);
  });

  it('begins the day at midnight of the configured zone, by the clock of the database', async () => {
    await using estate = await openEstate(cluster);
    // The time of the log is the later of its last record and the clock: so the clock can be moved forward.
    await estate.dba.query("UPDATE session SET last_seen_at = '2199-06-30T15:50Z', expires_at = '2200-01-01'");
    const { commit } = estate.gateway('shanghai');
    const utc = estate.gateway('utc', { zone: 'UTC' }).commit;
    const at = (text: string) => estate.dba.query('UPDATE head SET last_at = $1::timestamptz', [text]);
    const ask = (on: typeof commit) => on(many(1, estate.who, 1)).then(([verdict]) => verdict);
    await at('2199-06-30T15:59:59.5Z');
    assert.deepEqual([(await ask(commit))?.resetSeconds, (await ask(utc))?.resetSeconds], [1, 8 * 3600 + 1]);
    await at('2199-06-30T16:00:00Z');
    assert.equal((await ask(commit))?.resetSeconds, 86_400);
    const days = await estate.rows(
      "SELECT window_start::text AS day, used::int FROM quota_usage WHERE kind = 'requests_day' ORDER BY 1",
    );
    assert.deepEqual(days, [
      { day: '2199-06-30', used: 2 },
      { day: '2199-07-01', used: 1 },
    ]);
  });
});
