import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Turnstile, type TurnstileOptions } from '#engine/turnstile.ts';
import { Problem } from '#kernel/problem.ts';
import { NEVER } from './demo.ts';

/** Time that passes when the test says so. */
function manualTimers() {
  const calls = new Set<{ readonly at: number; readonly call: () => void }>();
  let now = 0;
  return {
    after: (milliseconds: number, call: () => void) => {
      const entry = { at: now + milliseconds, call };
      calls.add(entry);
      return () => void calls.delete(entry);
    },
    pass(milliseconds: number) {
      now += milliseconds;
      for (const entry of [...calls]) {
        if (entry.at > now) continue;
        calls.delete(entry);
        entry.call();
      }
    },
    get pending() {
      return calls.size;
    },
  };
}

function open(change: Partial<TurnstileOptions> = {}) {
  const timers = manualTimers();
  const turnstile = new Turnstile({
    slots: 1,
    maxQueue: 3,
    maxWaitMs: 1000,
    maxClosedWaitMs: 200,
    after: timers.after,
    ...change,
  });
  return { timers, turnstile };
}

const code = (expected: Problem['code']) => (error: unknown) => {
  assert.ok(error instanceof Problem);
  assert.equal(error.code, expected);
  assert.ok((error.detail.retryAfter ?? 0) > 0);
  return true;
};

describe('Turnstile', () => {
  it('lets in as many as there are slots, then one for each that leaves, fairly', async () => {
    const { turnstile } = open({ slots: 2, maxQueue: 10 });
    turnstile.open();
    const leaves = [await turnstile.enter('a', NEVER), await turnstile.enter('a', NEVER)];
    const order: string[] = [];
    const enter = async (name: string) => {
      const leave = await turnstile.enter(name.slice(0, 1), NEVER);
      order.push(name);
      leave();
    };
    const waiting = ['a3', 'a4', 'b1', 'c1'].map(enter);
    assert.equal(turnstile.queued, 4);
    leaves[0]?.();
    leaves[0]?.();
    await Promise.all(waiting);
    assert.deepEqual(order, ['a3', 'b1', 'c1', 'a4']);
    assert.equal(turnstile.busy, 1);
    leaves[1]?.();
    assert.equal(turnstile.busy, 0);
  });

  it('where one may have only so many places, the others are for the others, past those who wait', async () => {
    const { turnstile } = open({ slots: 3, perSubject: 2, maxQueue: 2 });
    turnstile.open();
    const leaves = [await turnstile.enter('a', NEVER), await turnstile.enter('a', NEVER)];
    const waiting = [turnstile.enter('a', NEVER), turnstile.enter('a', NEVER)];
    assert.deepEqual([turnstile.busy, turnstile.queued], [2, 2]);
    // The line is full, and nobody in it is turned away for somebody who need not stand in it.
    const other = await turnstile.enter('b', NEVER);
    assert.deepEqual([turnstile.busy, turnstile.queued], [3, 2]);
    other();
    assert.deepEqual([turnstile.busy, turnstile.queued], [2, 2]);
    for (const leave of leaves) leave();
    for (const leave of await Promise.all(waiting)) leave();
    assert.deepEqual([turnstile.busy, turnstile.queued], [0, 0]);
  });

  it('turns away at once when the queue is full', async () => {
    const { turnstile } = open({ maxQueue: 1 });
    turnstile.open();
    const leave = await turnstile.enter('a', NEVER);
    const waiting = turnstile.enter('b', NEVER);
    await assert.rejects(turnstile.enter('c', NEVER), code('overloaded'));
    leave();
    (await waiting)();
    assert.equal(turnstile.busy, 0);
  });

  it('one user’s fifty requests neither go before another’s one nor keep him out of a full queue', async () => {
    const { turnstile } = open({ slots: 1, maxQueue: 50 });
    turnstile.open();
    const leave = await turnstile.enter('greedy', NEVER);
    const refused: string[] = [];
    const order: string[] = [];
    const enter = (name: string) =>
      turnstile.enter(name, NEVER).then(
        (out) => {
          order.push(name);
          out();
        },
        () => void refused.push(name),
      );
    const greedy = Array.from({ length: 50 }, () => enter('greedy'));
    const other = enter('other');
    assert.equal(turnstile.queued, 50);
    leave();
    await Promise.all([...greedy, other]);
    assert.deepEqual(refused, ['greedy']);
    assert.ok(order.indexOf('other') <= 1, `served as number ${order.indexOf('other') + 1}`);
  });

  it('lets people in before work that can wait, and that before every fifth of them', async () => {
    const { turnstile } = open({ slots: 1, maxQueue: 50 });
    turnstile.open();
    const leave = await turnstile.enter('a', NEVER);
    const order: string[] = [];
    const enter = (name: string, priority: 'interactive' | 'batch') =>
      turnstile.enter(name, NEVER, priority).then((out) => {
        order.push(name.slice(0, 1));
        out();
      });
    const batch = Array.from({ length: 3 }, (_, at) => enter(`b${at}`, 'batch'));
    const people = Array.from({ length: 10 }, (_, at) => enter(`p${at}`, 'interactive'));
    leave();
    await Promise.all([...batch, ...people]);
    assert.equal(order.join(''), 'ppppbppppbppb');
  });

  it('turns away after the longest wait: overloaded when open, model_loading when closed', async () => {
    const { turnstile, timers } = open();
    const early = turnstile.enter('a', NEVER);
    timers.pass(200);
    await assert.rejects(early, code('model_loading'));
    turnstile.open();
    await turnstile.enter('a', NEVER);
    const late = turnstile.enter('a', NEVER);
    timers.pass(999);
    assert.equal(turnstile.queued, 1);
    timers.pass(1);
    await assert.rejects(late, code('overloaded'));
    assert.equal(turnstile.queued, 0);
    assert.equal(timers.pending, 0);
  });

  it('lets in when it opens, and nobody while it is closed', async () => {
    const { turnstile, timers } = open();
    const waiting = turnstile.enter('a', NEVER);
    assert.equal(turnstile.busy, 0);
    turnstile.open();
    const leave = await waiting;
    assert.equal(timers.pending, 0);
    turnstile.close();
    leave();
    const next = turnstile.enter('a', NEVER);
    assert.equal(turnstile.busy, 0);
    turnstile.refuseAll(new Problem('engine_failed', { retryAfter: 1 }));
    await assert.rejects(next, code('engine_failed'));
  });

  it('an abort takes the caller out of the queue and passes the reason on', async () => {
    const { turnstile } = open();
    turnstile.open();
    await turnstile.enter('a', NEVER);
    const control = new AbortController();
    const waiting = turnstile.enter('b', control.signal);
    const reason = new Error('gone');
    control.abort(reason);
    await assert.rejects(waiting, reason);
    assert.equal(turnstile.queued, 0);
    await assert.rejects(turnstile.enter('b', control.signal), reason);
  });
});
