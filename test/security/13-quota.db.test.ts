import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CommitFailure, type Item, type Verdict } from '#admission/admission.ts';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { QUOTA_KINDS } from '#quota/limit.ts';
import { postgresQuotas } from '#quota/quota.postgres.ts';
import { type Estate, openEstate, ZONE } from '../fakes/ledger-estate.ts';
import { admit, settle, userCounter, type Who } from '../fakes/ledger-items.ts';
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
    assert.equal(verdicts[63]?.code, 'requests_day:user');
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
    assert.equal(verdicts[0]?.code, 'tokens_day:user');
    assert.equal(admitted(verdicts), 10);
    assert.equal(await estate.used('requests_day'), 10);
  });

  it('refuses where no limit is set, where the limit is 0, and amounts that are no counts', async () => {
    for (const kind of QUOTA_KINDS) {
      for (const amount of [null, 0]) {
        await using estate = await openEstate(cluster);
        await estate.limit('role:analyst', kind, amount);
        const [verdict] = await estate.gateway('gw_1').commit(many(1, estate.who));
        assert.equal(`${verdict?.verdict} ${verdict?.code}`, `quota ${kind}:user`);
      }
    }
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const counters = [userCounter(estate.who)];
    await assert.rejects(
      commit([admit(estate.who, { take: { counters, tokens: Number.NaN, least: 1 } })]),
      CommitFailure,
    );
    for (const take of [
      { tokens: -5, least: -5 },
      { tokens: 1, least: 2 },
    ]) {
      const [verdict] = await commit([admit(estate.who, { take: { counters, ...take } })]);
      assert.equal(verdict?.verdict, 'quota');
    }
    assert.equal(await estate.used('tokens_day'), 0);
  });

  it('lets a limit of the user’s own go before those of his roles, and the smallest role count', async () => {
    await using estate = await openEstate(cluster, { tokens: 500 });
    const counters = [userCounter(estate.who, ['role:analyst', 'role:service'])];
    const { commit } = estate.gateway('gw_1');
    const ask = async (tokens: number) => {
      const [verdict] = await commit([admit(estate.who, { take: { counters, tokens, least: tokens } })]);
      const state = verdict?.quotas.find(({ kind }) => kind === 'tokens_day');
      return [verdict?.verdict, state?.limit, state?.used];
    };
    await estate.limit('role:service', 'tokens_day', 200);
    assert.deepEqual(await ask(201), ['quota', 200, 0]);
    await estate.limit('user:usr_0', 'tokens_day', 400);
    assert.deepEqual(await ask(201), ['admitted', 400, 201]);
    const usage = await postgresQuotas(estate.dba, ZONE).usageOf(counters);
    const tokens = usage.find(({ kind }) => kind === 'tokens_day');
    assert.deepEqual([tokens?.scope, tokens?.limit, tokens?.used], ['user:usr_0', 400, 201]);
  });

  it('charges what was used, gives back what did not run, and both at once for who asks next', async () => {
    await using estate = await openEstate(cluster, { requests: 2, tokens: 100 });
    const { commit } = estate.gateway('gw_1');
    const [ran, idle] = many(2, estate.who, 50);
    assert.ok(ran && idle);
    assert.equal(admitted(await commit([ran, idle])), 2);
    // In one batch: the settlements free 50 + 9 tokens and one request before the admission is judged.
    const verdicts = await commit([
      settle(ran, 41),
      settle(idle, 0, { ran: false }),
      admit(estate.who, { tokens: 60 }),
      admit(estate.who, { tokens: 59 }),
    ]);
    assert.deepEqual(
      verdicts.map(({ verdict, code }) => `${verdict} ${code}`),
      ['settled null', 'settled null', 'quota tokens_day:user', 'admitted null'],
    );
    assert.equal(await estate.used('requests_day'), 2);
    assert.equal(await estate.used('tokens_day'), 100);
  });

  it('never charges more than was reserved: what was not reserved must not have been computed', async () => {
    await using estate = await openEstate(cluster, { tokens: 100 });
    const { commit } = estate.gateway('gw_1');
    const [intent] = many(1, estate.who, 10);
    assert.ok(intent);
    await commit([intent]);
    await commit([settle(intent, 95)]);
    assert.equal(await estate.used('tokens_day'), 10);
  });

  it('gives back to the windows that gave, and never to the ones after them', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const [intent] = many(1, estate.who, 50);
    assert.ok(intent);
    await commit([intent]);
    // As if it had been admitted yesterday, and 500 been used today.
    await estate.dba.query(
      `UPDATE open_intent SET day = day - 1, minute = minute - interval '1 day', token_day = token_day - 1, token_minute = token_minute - interval '1 day';
       UPDATE quota_counter SET tokens_day = 500, tokens_minute = 500`,
    );
    await commit([settle(intent, 0, { ran: false })]);
    assert.deepEqual(
      await Promise.all(
        (['requests_day', 'tokens_day', 'tokens_minute', 'concurrent'] as const).map((kind) => estate.used(kind)),
      ),
      [1, 500, 500, 0],
    );
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
    assert.deepEqual([(await ask(commit))?.reset.day, (await ask(utc))?.reset.day], [1, 8 * 3600 + 1]);
    await at('2199-06-30T16:00:00Z');
    assert.equal(await estate.used('requests_day'), 0, 'nothing is used of the new day');
    const first = await ask(commit);
    assert.equal(first?.reset.day, 86_400);
    assert.equal(first.quotas[0]?.used, 1);
    // A gateway whose zone is another one can't begin a day anew for everybody.
    assert.equal((await ask(utc))?.quotas[0]?.used, 2);
    assert.equal((await ask(commit))?.quotas[0]?.used, 3);
  });

  it('whatever the clock of the gateway says', async (t) => {
    await using estate = await openEstate(cluster, { requests: 2 });
    const { commit } = estate.gateway('gw_1');
    await commit(many(1, estate.who));
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 86_400_000 });
    const verdicts = await commit(many(2, estate.who));
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      ['admitted', 'quota'],
    );
  });
});
