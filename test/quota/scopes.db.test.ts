import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AdmitItem, Verdict } from '#admission/admission.ts';
import { QUOTA_KINDS, type QuotaKind } from '#quota/limit.ts';
import { openEstate } from '../fakes/ledger-estate.ts';
import { admit, settle, takeOf } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

/** Where a limit is set, and what the answer calls it: what a role gives is its holder's own. */
const SCOPES = {
  'user:usr_0': 'user',
  'role:analyst': 'user',
  'key:key_1': 'key',
  'department:risk': 'department',
  'model:demo': 'model',
} as const;
const SHARED = ['key:key_1', 'department:risk', 'model:demo'];
const TOKENS = 10;
/** Two requests fit, a third does not. */
const ENOUGH_FOR_TWO: Readonly<Record<QuotaKind, number>> = {
  requests_day: 2,
  requests_minute: 2,
  concurrent: 2,
  tokens_day: 2 * TOKENS + 5,
  tokens_minute: 2 * TOKENS + 5,
};

describe('every scope and every kind decides', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const short = (verdicts: readonly Verdict[]) => verdicts.map(({ verdict, code }) => (code === null ? verdict : code));
  const three = (who: Parameters<typeof takeOf>[0], ...shared: string[]): AdmitItem[] =>
    Array.from({ length: 3 }, () => admit(who, { take: takeOf(who, TOKENS, ...shared) }));

  for (const [scope, called] of Object.entries(SCOPES)) {
    for (const kind of QUOTA_KINDS) {
      it(`${kind} of ${scope}`, async () => {
        await using estate = await openEstate(cluster);
        await estate.limit(scope, kind, ENOUGH_FOR_TWO[kind]);
        const { commit } = estate.gateway('gw_1');
        const items = three(estate.who, ...SHARED);
        assert.deepEqual(short(await commit(items)), ['admitted', 'admitted', `${kind}:${called}`]);
        assert.equal(await estate.used('requests_day'), 2, 'who is refused by one takes nothing of any');
        const [first] = items;
        assert.ok(first);
        // What is given back, or comes free, serves the next one; tokens that were used and requests that ran do not.
        const again = kind === 'concurrent' ? 'admitted' : `${kind}:${called}`;
        assert.deepEqual(
          short(
            await commit([settle(first, TOKENS), admit(estate.who, { take: takeOf(estate.who, TOKENS, ...SHARED) })]),
          ),
          ['settled', again],
        );
      });
    }
  }

  it('people share a department’s, a key’s and a model’s limit, and not a role’s', async () => {
    await using estate = await openEstate(cluster, { analysts: 3, requests: 2 });
    const { commit } = estate.gateway('gw_1');
    const each = () => estate.analysts.map((who) => admit(who, { take: takeOf(who, 1, 'department:risk') }));
    assert.deepEqual(short(await commit([...each(), ...each()])), Array(6).fill('admitted'));
    assert.deepEqual(short(await commit(each())), Array(3).fill('requests_day:user'));
    await estate.limit('role:analyst', 'requests_day', 100);
    await estate.limit('department:risk', 'requests_day', 2);
    assert.deepEqual(short(await commit(each())), ['admitted', 'admitted', 'requests_day:department']);
  });

  it('the strictest wins, and of several that refuse the one with the longest wait is named', async () => {
    await using estate = await openEstate(cluster, { requests: 5, limits: { requests_minute: 3 } });
    await estate.limit('department:risk', 'requests_day', 4);
    const { commit } = estate.gateway('gw_1');
    const ask = () => admit(estate.who, { take: takeOf(estate.who, 1, 'department:risk') });
    assert.deepEqual(short(await commit([ask(), ask(), ask(), ask()])), [
      'admitted',
      'admitted',
      'admitted',
      'requests_minute:user',
    ]);
    await estate.limit('role:analyst', 'requests_day', 3);
    assert.deepEqual(short(await commit([ask()])), ['requests_day:user']);
  });

  it('a limit in dry run refuses nobody, and says whom it would have', async () => {
    await using estate = await openEstate(cluster);
    await estate.limit('department:risk', 'requests_day', 1, true);
    await estate.limit('role:analyst', 'tokens_minute', 15, true);
    const { commit } = estate.gateway('gw_1');
    const verdicts = await commit(three(estate.who, 'department:risk'));
    assert.deepEqual(short(verdicts), ['admitted', 'admitted', 'admitted']);
    assert.deepEqual(
      verdicts.map(({ breaches }) => breaches.map(({ kind, scope }) => `${kind}:${scope}`)),
      [[], ['tokens_minute:user', 'requests_day:department'], ['tokens_minute:user', 'requests_day:department']],
    );
  });

  it('a minute begins anew with the minute of the database, and a raise ends at its time', async () => {
    await using estate = await openEstate(cluster, { limits: { requests_minute: 1 } });
    await estate.dba.query("UPDATE session SET last_seen_at = '2199-06-30T11:59Z', expires_at = '2200-01-01'");
    const at = (text: string) => estate.dba.query('UPDATE head SET last_at = $1::timestamptz', [text]);
    const { commit } = estate.gateway('gw_1');
    const ask = async () => (await commit([admit(estate.who)]))[0] ?? assert.fail();
    await at('2199-06-30T12:00:59.5Z');
    assert.deepEqual(
      [short([await ask(), await ask()]), (await ask()).reset.minute],
      [['admitted', 'requests_minute:user'], 1],
    );
    await at('2199-06-30T12:01:00Z');
    assert.equal((await ask()).verdict, 'admitted');
    await estate.dba.query(
      "UPDATE quota_limit SET raised_amount = 3, raised_until = '2199-06-30T12:01:30Z' WHERE kind = 'requests_minute'",
    );
    assert.equal((await ask()).verdict, 'admitted');
    await at('2199-06-30T12:01:30Z');
    assert.equal((await ask()).code, 'requests_minute:user');
  });
});
