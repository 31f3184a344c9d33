import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Grant, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation, SLICE_TOKENS } from '#quota/reservation.ts';
import { turns } from '../fakes/ledger-commit.ts';

/** A quota with so much left beside what was reserved, answering when the test says so. */
function openQuota(reserved: number, left: number) {
  const asked: Reserve[] = [];
  const state = { left, gate: Promise.resolve(), isDown: false };
  const extend = async (ask: Reserve): Promise<Grant> => {
    asked.push(ask);
    await state.gate;
    if (state.isDown) throw new Problem('audit_unavailable');
    const tokens = ask.tokens < 0 ? ask.tokens : state.left < ask.least ? 0 : Math.min(ask.tokens, state.left);
    state.left -= tokens;
    return { tokens, limit: tokens < ask.tokens ? 'tokens_day:user' : null, retryAfter: 77 };
  };
  const credit = new Reservation({ tokens: reserved, extend, refuse: promptRefusal });
  return { asked, state, credit };
}

describe('a reservation', () => {
  it('asks for nothing while what was reserved covers prompt and answer', async () => {
    const { asked, credit } = openQuota(300, 1000);
    assert.equal(credit.begin(20, 100, false), null);
    for (let used = 20; used <= 120; used++) credit.reach(used);
    assert.deepEqual(asked, []);
  });

  it('asks for the next slice ahead of need, one at a time, and never beyond the longest answer', async () => {
    const { asked, credit } = openQuota(20 + SLICE_TOKENS, 10_000);
    void credit.begin(20, 1200, false);
    credit.reach(20 + 255);
    assert.deepEqual(asked, []);
    for (let used = 276; used < 300; used++) credit.reach(used);
    assert.deepEqual(asked, [{ tokens: 512, least: 1 }]);
    await turns();
    credit.reach(20 + 1024 - 256);
    await turns();
    credit.reach(1220);
    await turns();
    assert.deepEqual(asked.slice(1), [{ tokens: 176, least: 1 }]);
    assert.equal(credit.total, 1220);
  });

  it('of texts that get no answer covers them exactly, and not a token more', async () => {
    const { asked, credit } = openQuota(20, 5);
    assert.equal(credit.begin(20, 0, false), null);
    assert.deepEqual(asked, []);
    const longer = openQuota(20, 5);
    await longer.credit.begin(25, 0, false);
    assert.deepEqual(longer.asked, [{ tokens: 5, least: 5 }]);
    assert.equal(longer.credit.total, 25);
    const short = openQuota(20, 4);
    await assert.rejects(async () => short.credit.begin(25, 0, false), /this prompt of 25 tokens/);
  });

  it('pays for a longer prompt before it begins, or refuses it', async () => {
    const rich = openQuota(300, 5000);
    await rich.credit.begin(1000, 100, false);
    assert.deepEqual(rich.asked, [{ tokens: 800, least: 701 }]);
    const poor = openQuota(300, 700);
    await assert.rejects(poor.credit.begin(1000, 100, false) ?? Promise.resolve(), {
      code: 'rate_limit_exceeded',
      detail: { ...promptRefusal('tokens_day:user', 1000, 77).detail },
    });
    assert.equal(poor.state.left, 700);
  });

  it('gives a large rest of the estimate back at once, and keeps a small one for the answer', async () => {
    const large = openQuota(5000, 0);
    assert.equal(large.credit.begin(100, 2000, false), null);
    assert.deepEqual(large.asked, [{ tokens: 612 - 5000, least: 0 }]);
    assert.equal(large.credit.total, 612, 'and does not count on it from then on');
    const small = openQuota(900, 0);
    void small.credit.begin(100, 2000, false);
    assert.deepEqual([small.asked, small.credit.total], [[], 900]);
  });

  it('takes a whole answer at once, as far as there is', async () => {
    const { credit } = openQuota(300, 400);
    await credit.begin(100, 4000, true);
    assert.deepEqual([credit.total, credit.final, credit.limit], [700, true, 'tokens_day:user']);
    assert.deepEqual([await credit.covers(700), await credit.covers(701)], [true, false]);
  });

  it('what could not be reserved because the store failed is a failure, never a free token', async () => {
    const { credit, state } = openQuota(300, 10_000);
    void credit.begin(20, 2000, false);
    state.isDown = true;
    let told = 0;
    credit.watch(() => told++);
    await assert.rejects(async () => credit.covers(400), { code: 'audit_unavailable' });
    assert.equal(credit.total, 300);
    assert.ok(credit.failure !== null && told > 0);
  });

  it('whatever comes in whatever order: total is never more than was granted, and every covered token is', async () => {
    const scenario = fc.record({
      reserved: fc.integer({ min: 1, max: 3000 }),
      left: fc.integer({ min: 0, max: 4000 }),
      prompt: fc.integer({ min: 1, max: 3000 }),
      most: fc.integer({ min: 1, max: 4000 }),
      whole: fc.boolean(),
      steps: fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ reserved, left, prompt, most, whole, steps }) => {
        const { credit, state } = openQuota(reserved, left);
        const paid = () => reserved + left - state.left;
        try {
          await credit.begin(prompt, most, whole);
        } catch {
          assert.ok(reserved + left <= prompt, 'refused only where not even one token could be paid for');
          return;
        }
        let used = prompt;
        for (const step of steps) {
          const wanted = Math.min(used + step, prompt + most);
          if (!(await credit.covers(wanted))) {
            assert.ok(credit.final);
            break;
          }
          used = wanted;
          assert.ok(used <= credit.total && credit.total <= paid(), `${used} ${credit.total} ${paid()}`);
          assert.ok(state.left >= 0);
        }
        await turns();
        assert.ok(credit.total <= paid());
      }),
      { seed: 20261121, numRuns: 400 },
    );
  });
});
