import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { QUOTA_KINDS } from '#quota/limit.ts';
import { openEstate } from '../fakes/ledger-estate.ts';
import { admit, settle, userCounter } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const SCOPES = ['user:usr_0', 'user:usr_1', 'role:analyst', 'role:service', 'department:retail', 'model:demo'];

const limit = fc.record({
  scope: fc.constantFrom(...SCOPES),
  kind: fc.constantFrom(...QUOTA_KINDS),
  // What is small is found as a limit, what is large as a breach that a dry run notices.
  amount: fc.constantFrom(0, 5, 100_000),
  dryRun: fc.boolean(),
  raised: fc.constantFrom(null, 7, 200_000),
  ended: fc.boolean(),
});
const roles = fc.subarray(['role:analyst', 'role:service']);

describe('the limits that a batch finds', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  it('are those that a user is shown, whoever sets which: his own, his roles’, shared, raised or in dry run', async () => {
    await using estate = await openEstate(cluster, { analysts: 2 });
    const { commit } = estate.gateway('gw_1');
    const seen = { admitted: 0, breached: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(limit, { selector: ({ scope, kind }) => `${scope} ${kind}`, minLength: 8, maxLength: 30 }),
        roles,
        roles,
        async (limits, ...held) => {
          await estate.dba.query('DELETE FROM quota_limit; DELETE FROM quota_counter');
          await estate.dba.query(
            `INSERT INTO quota_limit (scope, kind, amount, dry_run, raised_amount, raised_until)
             SELECT scope, kind, amount, "dryRun", raised, CASE WHEN raised IS NOT NULL THEN now() + CASE WHEN ended THEN -interval '1 s' ELSE interval '1 h' END END
             FROM json_to_recordset($1) AS l (scope text, kind text, amount bigint, "dryRun" boolean, raised bigint, ended boolean)`,
            [JSON.stringify(limits)],
          );
          const items = estate.analysts.map((who, index) => {
            const shared = ['key:none', 'department:retail', 'model:demo'].map((subject) => ({ subject, roles: null }));
            const counters = [userCounter(who, held[index] ?? []), ...shared];
            return admit(who, { take: { counters, tokens: 10, least: 10 } });
          });
          const verdicts = await commit(items);
          for (const [index, { take }] of items.entries()) {
            const verdict = verdicts[index] ?? assert.fail();
            const shown = await estate.rows<Record<string, string | null> & { o_subject: string }>(
              'SELECT l.* FROM limits_of($1, now()) l WHERE l.o_counts ORDER BY l.o_ord',
              [JSON.stringify(take?.counters)],
            );
            const found = shown.flatMap((row) =>
              QUOTA_KINDS.map((kind) => {
                const amount = Number(row[kind] ?? 0);
                const scope = row.o_subject.split(':')[0];
                return { scope, kind, limit: amount > Number.MAX_SAFE_INTEGER ? null : amount, dry: row[`d_${kind}`] };
              }),
            );
            assert.deepEqual(
              verdict.quotas.map(({ scope, kind, limit }) => ({ scope, kind, limit })),
              found.map(({ scope, kind, limit }) => ({ scope, kind, limit })),
            );
            const isLeft = verdict.quotas.every(({ limit, used }) => limit === null || used <= limit);
            assert.equal(verdict.verdict === 'admitted' && !isLeft, false, 'nothing over a limit is admitted');
            if (verdict.verdict !== 'admitted') continue;
            const noticed = found.flatMap(({ scope, kind, dry }, place) =>
              dry !== null && Number(verdict.quotas[place]?.used) > Number(dry) ? [{ scope, kind }] : [],
            );
            assert.deepEqual(verdict.breaches, noticed);
            seen.admitted++;
            seen.breached += noticed.length;
          }
        },
      ),
      { seed: 20261129, numRuns: 120 },
    );
    assert.ok(seen.admitted > 5 && seen.breached > 5, `the cases were met: ${JSON.stringify(seen)}`);
  });

  it('a settlement begins no new day for a counter: only who takes does', async () => {
    await using estate = await openEstate(cluster);
    const [west, east] = ['Pacific/Pago_Pago', 'Pacific/Kiritimati'].map((zone) => estate.gateway(zone, { zone }));
    const [kept, undone] = [admit(estate.who), admit(estate.who)];
    await west?.commit([kept, undone]);
    const books = () => estate.rows('SELECT day::text, requests_day, tokens_day, concurrent FROM quota_counter');
    const [before] = await books();
    await east?.commit([settle(kept, 0), settle(undone, 0, { ran: false })]);
    assert.deepEqual(await books(), [{ ...before, concurrent: '0' }]);
    await east?.commit([admit(estate.who)]);
    assert.equal(await estate.value('SELECT requests_day FROM quota_counter'), '1');
  });
});
