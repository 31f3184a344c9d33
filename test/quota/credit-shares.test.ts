import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Grant, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';
import { type CreditShare, CreditShares } from '#quota/credit-shares.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation } from '#quota/reservation.ts';
import { turns } from '../fakes/ledger-commit.ts';

function openShares(count: number, reserved: number, left: number) {
  const state = { left, isDown: false };
  const extend = async (ask: Reserve): Promise<Grant> => {
    if (state.isDown) throw new Problem('audit_unavailable');
    const tokens = ask.tokens < 0 ? ask.tokens : state.left < ask.least ? 0 : Math.min(ask.tokens, state.left);
    state.left -= tokens;
    return { tokens, limit: tokens < ask.tokens ? 'tokens_day:user' : null, retryAfter: 77 };
  };
  const whole = new Reservation({ tokens: reserved, extend, refuse: promptRefusal });
  return { state, whole, shares: new CreditShares(whole, count).shares };
}

/** An engine in small: a token a turn while it is paid for. @returns tokens computed */
async function run(share: CreditShare, prompt: number, most: number): Promise<number> {
  await share.begin(prompt, most, false);
  let used = prompt;
  while (used < prompt + most) {
    if (share.failure !== null) throw share.failure;
    if (used >= share.total) {
      if (share.final) break;
      share.reach(share.total);
      await turns();
      continue;
    }
    share.reach(++used);
  }
  share.close();
  return used;
}

describe('one credit for several answers', () => {
  it('lets each say all it wants where there is enough, whatever the order', async () => {
    for (const prompt of [1, 20, 700]) {
      const { whole, shares } = openShares(4, 600, 1_000_000);
      const used = await Promise.all(shares.map((share) => run(share, prompt, 900)));
      assert.deepEqual(
        used,
        [1, 2, 3, 4].map(() => prompt + 900),
      );
      assert.equal(whole.limit, null);
    }
    const { shares } = openShares(3, 300, 1_000_000);
    for (const share of shares) assert.equal(await run(share, 20, 900), 920, 'one after another');
  });

  it('never spends more than was paid for, and ends', async () => {
    const cases = fc.record({
      count: fc.integer({ min: 2, max: 8 }),
      prompt: fc.integer({ min: 1, max: 300 }),
      most: fc.integer({ min: 1, max: 1500 }),
      reserved: fc.integer({ min: 0, max: 3000 }),
      left: fc.integer({ min: 0, max: 8000 }),
      places: fc.integer({ min: 1, max: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ count, prompt, most, reserved, left, places }) => {
        const { whole, shares } = openShares(count, reserved, left);
        let [next, used] = [0, 0];
        const work = async () => {
          for (let at = next++; at < count; at = next++) used += await run(shares[at] as CreditShare, prompt, most);
        };
        const ends = await Promise.allSettled(Array.from({ length: Math.min(places, count) }, work));
        for (const end of ends) if (end.status === 'rejected') assert.equal(end.reason.code, 'rate_limit_exceeded');
        assert.ok(used <= whole.total, `${used} of ${whole.total}`);
      }),
      { numRuns: 300 },
    );
  });

  it('pays for every prompt before the first begins, or refuses all', async () => {
    const { shares, state } = openShares(3, 100, 150);
    const refused = await Promise.allSettled(shares.map((share) => share.begin(100, 10, false)));
    assert.deepEqual(
      refused.map((one) => one.status === 'rejected' && one.reason.code),
      ['rate_limit_exceeded', 'rate_limit_exceeded', 'rate_limit_exceeded'],
    );
    assert.equal(state.left, 150);
  });

  it('passes on that nobody knows whether more can be had', async () => {
    const { shares, state } = openShares(2, 100, 10_000);
    await shares[0]?.begin(10, 2000, false);
    state.isDown = true;
    await assert.rejects(async () => shares[0]?.covers(2000), { code: 'audit_unavailable' });
  });

  it('waits for what a whole piece of text costs', async () => {
    const { shares } = openShares(2, 100, 100_000);
    await shares[1]?.begin(10, 3000, false);
    assert.equal(await shares[1]?.covers(2500), true);
    assert.ok((shares[1]?.total ?? 0) >= 2500);
  });
});
