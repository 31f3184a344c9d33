import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Commitment } from '#audit/commitment.ts';
import { Choices } from '#chat/choices.ts';
import { Completion } from '#chat/completion.ts';
import type { Engine, GenerationDelta, ModelStatus } from '#engine/engine.ts';
import { systemClock } from '#kernel/clock.ts';
import { Problem } from '#kernel/problem.ts';
import { NEVER, request } from '../engine/demo.ts';

const delta = (text: string): GenerationDelta => ({ type: 'delta', text, tokens: 1 });
const key = Buffer.alloc(32);

/** Says `texts`, and notes what became of it. */
function engineOf(texts: readonly string[], failure?: Problem) {
  const seen: string[] = [];
  const generate: Engine['generate'] = async function* (_request, _signal, take) {
    try {
      yield { type: 'started', promptTokens: 1 };
      for (const text of texts) {
        const going = take(delta(text));
        seen.push(text, typeof going);
        if (!(going === true || (await going))) return;
      }
      if (failure !== undefined) throw failure;
      yield { type: 'finished', reason: 'stop', usage: { promptTokens: 1, completionTokens: 2, cachedTokens: 0 } };
      seen.push('finished');
    } finally {
      seen.push('over');
    }
  };
  return { seen, engine: { generate, status: () => ({}) as ModelStatus } as unknown as Engine };
}

const completionOf = (engine: Engine): Completion =>
  new Completion(engine, request(), NEVER, {
    clock: systemClock,
    commitment: new Commitment(key),
    longestPrompt: null,
    limit: () => null,
  });

describe('an answer while it is made', () => {
  it('goes out piece by piece, and what says nothing does not', async () => {
    const { engine, seen } = engineOf(['a', '', 'b']);
    const completion = completionOf(engine);
    await completion.begin();
    const out: string[] = [];
    await completion.make(({ text }) => void out.push(text));
    assert.deepEqual(out, ['a', 'b']);
    assert.deepEqual(seen, ['a', 'boolean', '', 'boolean', 'b', 'boolean', 'finished', 'over']);
    assert.equal(completion.answer.content, 'ab');
  });

  it('holds the model up while a piece has not gone out', async () => {
    const { engine, seen } = engineOf(['a', 'b']);
    const completion = completionOf(engine);
    await completion.begin();
    const { promise, resolve } = Promise.withResolvers<void>();
    const made = completion.make(({ text }) => (text === 'a' ? promise : undefined));
    await new Promise(setImmediate);
    assert.deepEqual(seen, ['a', 'object']);
    resolve();
    await made;
    assert.equal(seen.at(-1), 'over');
  });

  for (const [how, fail] of [
    ['at once', () => assert.fail('gone')],
    ['later', () => Promise.reject(new Error('gone'))],
  ] as const) {
    it(`ends with what its reader throws ${how}: the model is left, and the piece counts as made`, async () => {
      const { engine, seen } = engineOf(['a', 'b']);
      const completion = completionOf(engine);
      await completion.begin();
      await assert.rejects(completion.make(fail), /gone/);
      assert.deepEqual([seen[0], ...seen.slice(2)], ['a', 'over']);
      const { facts, ran } = completion.report();
      assert.deepEqual([ran, facts['completion_tokens'], facts['finish_reason']], [true, 1, null]);
    });
  }

  it('one of several that fails ends them all', async () => {
    const good = engineOf(Array.from({ length: 1000 }, String));
    const bad = engineOf(['x'], new Problem('engine_failed'));
    const completions = [completionOf(good.engine), completionOf(bad.engine)];
    const closing = completions.map((completion) => ({ completion, credit: { close: () => {} } }));
    const choices = new Choices(closing, 2, new Commitment(key));
    await choices.begin();
    const out: (readonly [number, string | undefined])[] = [];
    const making = choices.make(({ index, delta: said }) => {
      out.push([index, said?.text]);
      return new Promise(setImmediate);
    });
    await assert.rejects(making, { code: 'engine_failed' });
    assert.deepEqual([good.seen.at(-1), bad.seen.at(-1)], ['over', 'over']);
    assert.ok(!good.seen.includes('finished'));
  });
});
