import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { AdmitItem, Item } from '#admission/admission.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, extend, settle, takeOf } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const LIMITS = { requests_day: 40, tokens_day: 3000, requests_minute: 25, tokens_minute: 2000, concurrent: 6 };
const SHARED = { requests_day: 70, tokens_day: 5000, concurrent: 9 };

/** One step: what somebody asks, of whom and how much; `pick` chooses among what is open. */
const step = fc.record({
  op: fc.constantFrom(
    'admit',
    'admit',
    'admit',
    'extend',
    'extend',
    'give',
    'settle',
    'settle',
    'void',
    'close',
    'again',
    'minute',
    'day',
  ),
  who: fc.integer({ min: 0, max: 2 }),
  pick: fc.nat(1000),
  tokens: fc.integer({ min: 0, max: 700 }),
  least: fc.integer({ min: 0, max: 300 }),
});

interface Open {
  readonly item: AdmitItem;
  reserved: number;
}

describe('the books of quotas, whatever happens in whatever order', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  async function balance(estate: Estate, charged: number): Promise<void> {
    const over = await estate.rows(
      `SELECT c.* FROM quota_counter c WHERE least(requests_day, tokens_day, requests_minute, tokens_minute, concurrent) < 0
          OR (subject LIKE 'user:%' AND (requests_day > $1 OR tokens_day > $2 OR requests_minute > $3 OR tokens_minute > $4 OR concurrent > $5))
          OR (subject LIKE 'model:%' AND (requests_day > $6 OR tokens_day > $7 OR concurrent > $8))`,
      [...Object.values(LIMITS), ...Object.values(SHARED)],
    );
    assert.deepEqual(over, [], 'never below nothing, never over a limit');
    const [sums] = await estate.rows<Record<string, string>>(
      `SELECT (SELECT count(*) FROM open_intent)::int AS open, (SELECT coalesce(sum(concurrent), 0) FROM quota_counter WHERE subject LIKE 'user:%')::int AS users,
              (SELECT coalesce(sum(concurrent), 0) FROM quota_counter WHERE subject LIKE 'model:%')::int AS models,
              (SELECT coalesce(sum(tokens_day), 0) FROM quota_counter WHERE subject LIKE 'user:%')::int AS "userTokens",
              (SELECT coalesce(sum(tokens_day), 0) FROM quota_counter WHERE subject LIKE 'model:%')::int AS "modelTokens",
              (SELECT coalesce(sum(tokens), 0) FROM open_intent)::int AS reserved`,
    );
    assert.deepEqual(
      [sums?.['users'], sums?.['models']],
      [sums?.['open'], sums?.['open']],
      'a place for each that is open',
    );
    if (charged < 0) return;
    assert.equal(
      sums?.['userTokens'],
      charged + Number(sums?.['reserved']),
      'what is used is what was charged and what is reserved',
    );
    assert.equal(sums?.['modelTokens'], sums?.['userTokens']);
  }

  it('never negative, never over, and the sum of what is used is the sum of what is on the books', async () => {
    let admitted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        await using estate = await openEstate(cluster, {
          analysts: 3,
          limits: LIMITS,
          requests: LIMITS.requests_day,
          tokens: LIMITS.tokens_day,
        });
        for (const [kind, amount] of Object.entries(SHARED))
          await estate.limit('model:demo', kind as keyof typeof SHARED, amount);
        await estate.dba.query(
          "UPDATE session SET last_seen_at = '2199-06-01T00:00Z', idle_seconds = 90000000, expires_at = '2202-01-01'",
        );
        await estate.dba.query("UPDATE head SET last_at = '2199-06-01T00:00Z'");
        const [gateway, other] = [estate.gateway('gw_1'), estate.gateway('gw_2')];
        const open: Open[] = [];
        const sent: Item[] = [];
        let charged = 0;
        let windows = 0;
        const commit = async (item: Item) => {
          sent.push(item);
          return (await gateway.commit([item]))[0] ?? assert.fail();
        };
        const end = async (item: Item, one: Open, used: number) => {
          assert.equal((await (item.op === 'close' ? other : gateway).commit([item]))[0]?.verdict, 'settled');
          sent.push(item);
          open.splice(open.indexOf(one), 1);
          charged += Math.min(used, one.reserved);
        };
        for (const { op, who, pick, tokens, least } of steps) {
          const one = open[pick % Math.max(1, open.length)];
          if (op === 'admit') {
            const analyst = estate.analysts[who] ?? estate.who;
            const take = { ...takeOf(analyst, tokens, 'model:demo'), least: Math.min(tokens, least) };
            const item = admit(analyst, { take });
            const verdict = await commit(item);
            if (verdict.verdict === 'admitted') {
              assert.ok(verdict.tokens >= take.least && verdict.tokens <= tokens);
              open.push({ item, reserved: verdict.tokens });
              admitted++;
            }
          } else if (op === 'minute' || op === 'day') {
            // What is used of a window that is over is counted no more.
            await estate.dba.query(
              `UPDATE head SET last_at = greatest(last_at, clock_timestamp()) + interval '1 ${op}'`,
            );
            if (op === 'day') windows++;
          } else if (op === 'again') {
            const again = sent[pick % Math.max(1, sent.length)];
            if (again && again.op !== 'close') await gateway.commit([again]);
          } else if (one !== undefined) {
            if (op === 'extend' || op === 'give') {
              const verdict = await commit(
                op === 'give'
                  ? extend(one.item, -tokens, 0)
                  : extend(one.item, tokens + 1, Math.min(tokens + 1, least)),
              );
              one.reserved += verdict.tokens;
              assert.ok(one.reserved >= 0);
            } else if (op === 'settle') await end(settle(one.item, tokens), one, tokens);
            else if (op === 'void') await end(settle(one.item, 0, { op: 'void', ran: false }), one, 0);
            else {
              await estate.dba.query("UPDATE instance SET lease_until = '2000-01-01' WHERE id = 'gw_1'");
              await end(settle(one.item, one.reserved, { op: 'close' }), one, one.reserved);
            }
          }
          await balance(estate, windows === 0 ? charged : -1);
        }
      }),
      { seed: 20261121, numRuns: 12, endOnFailure: true },
    );
    assert.ok(admitted > 50, `only ${admitted} were admitted: the runs show nothing`);
  });
});
