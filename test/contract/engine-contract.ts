import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Engine, GenerationEvent } from '#engine/engine.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, NEVER, request, told, until, untilFirstDelta } from '../engine/demo.ts';

/** What an implementation shows of itself to the suite. */
export interface EngineUnderTest {
  /** Says `text` and stops; not loaded yet. Two slots, a context of less than 2000 tokens. */
  readonly engine: Engine;
  /** Never stops by itself; one slot; not loaded yet. */
  readonly endless: Engine;
  readonly text: string;
  readonly close: () => Promise<void>;
}

const problem = (code: Problem['code']) => (error: unknown) => {
  assert.ok(error instanceof Problem, `not a Problem: ${error}`);
  assert.equal(error.code, code);
  return true;
};

/** The port's contract (`src/engine/engine.ts`), for every implementation. */
export function engineContract(name: string, open: () => Promise<EngineUnderTest>): void {
  describe(`engine port: ${name}`, () => {
    let under: EngineUnderTest;
    before(async () => {
      under = await open();
    });
    after(() => under.close());

    it('refuses with model_not_loaded before load, and load is idempotent', async () => {
      assert.equal(under.engine.status().state, 'unloaded');
      await assert.rejects(answer(under.engine), problem('model_not_loaded'));
      await Promise.all([under.engine.load(), under.endless.load()]);
      await under.engine.load();
      assert.equal(under.engine.status().state, 'ready');
    });

    for (const stream of [true, false]) {
      it(`yields started, deltas, finished; nothing is lost (stream: ${stream})`, async () => {
        const { text, reason, usage, promptTokens, events } = await answer(under.engine, { stream });
        assert.equal(text, under.text);
        assert.equal(reason, 'stop');
        const kinds = events.map((event) => event.type);
        assert.deepEqual(new Set(kinds.slice(1, -1)), new Set(['delta']));
        assert.ok(promptTokens > 0 && usage.promptTokens > 0 && usage.completionTokens > 0);
        assert.ok(usage.cachedTokens <= usage.promptTokens);
        for (const event of events) if (event.type === 'delta') assert.ok(event.text.isWellFormed());
      });
    }

    for (const stream of [true, false]) {
      it(`goes on from a prompt as it stands, without a template (stream: ${stream})`, async () => {
        const raw = { messages: [], prompt: 'What are you? 你好', stream };
        const { text, reason, usage } = await answer(under.engine, raw);
        assert.equal(text, under.text);
        assert.equal(reason, 'stop');
        const { usage: inTemplate } = await answer(under.engine, { stream });
        assert.ok(usage.promptTokens <= inTemplate.promptTokens && usage.completionTokens > 0);
      });
    }

    it('ends with length at maxTokens', async () => {
      const { reason, usage, text } = await answer(under.engine, { maxTokens: 3 });
      assert.equal(reason, 'length');
      assert.equal(usage.completionTokens, 3);
      assert.ok(text !== '' && under.text.startsWith(text));
    });

    it('refuses a prompt beyond the context, with the figures, before started', async () => {
      const seen: GenerationEvent[] = [];
      await assert.rejects(
        async () => {
          const long = request({ messages: [{ role: 'user', content: 'word '.repeat(20_000) }] });
          for await (const event of told(under.engine, long, NEVER)) seen.push(event);
        },
        (error: unknown) => problem('context_length_exceeded')(error) && /\d{4,} tokens.*\d{3,}/.test(String(error)),
      );
      assert.deepEqual(seen, []);
      await assert.rejects(
        answer(under.engine, { messages: [], prompt: 'word '.repeat(20_000) }),
        (error: unknown) => problem('context_length_exceeded')(error) && (error as Problem).detail.param === 'prompt',
      );
    });

    it('throws the reason of an abort, before the start and in the middle, and frees the slot', async () => {
      const reason = new Error('hung up');
      await assert.rejects(answer(under.engine, {}, AbortSignal.abort(reason)), reason);

      const control = new AbortController();
      const generation = told(under.endless, request({ maxTokens: 500_000 }), control.signal);
      await untilFirstDelta(generation);
      assert.equal(under.endless.status().busy, 1);
      control.abort(reason);
      await assert.rejects(async () => {
        for (;;) if ((await generation.next()).done) return;
      }, reason);
      await until(() => under.endless.status().busy === 0);
    });

    it('an abort while waiting for a slot leaves the queue', async () => {
      const running = told(under.endless, request(), NEVER);
      await untilFirstDelta(running);
      const control = new AbortController();
      const waiting = answer(under.endless, {}, control.signal);
      await until(() => under.endless.status().queued === 1);
      const reason = new Error('lost patience');
      control.abort(reason);
      await assert.rejects(waiting, reason);
      assert.equal(under.endless.status().queued, 0);
      await running.return();
      await until(() => under.endless.status().busy === 0);
    });

    it('leaving the loop early frees the slot for the next one', async () => {
      for (let round = 0; round < 3; round++) {
        for await (const event of told(under.endless, request(), NEVER)) if (event.type === 'delta') break;
      }
      await until(() => under.endless.status().busy === 0);
    });

    it('close ends what runs and what waits, is idempotent, and load opens again', async () => {
      const running = told(under.endless, request(), NEVER);
      await untilFirstDelta(running);
      const waiting = answer(under.endless);
      const refused = assert.rejects(waiting, problem('model_not_loaded'));
      await until(() => under.endless.status().queued === 1);
      await Promise.all([under.endless.close(), under.endless.close()]);
      await refused;
      await assert.rejects(async () => {
        for (;;) if ((await running.next()).done) return;
      }, problem('engine_failed'));
      assert.equal(under.endless.status().state, 'unloaded');
      assert.equal(under.endless.status().busy, 0);
      await under.endless.load();
      assert.equal((await answer(under.endless, { maxTokens: 2, stream: true })).reason, 'length');
    });
  });
}
