import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerationRequest } from '#engine/engine.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { OPENED, TAGGED, THINKING } from '../fakes/tool-templates.ts';
import { answer, madeSpec, openLlama } from './demo.ts';

const THOUGHT = ['Let', ' me', ' see', '.\n', '</think>', '\n\n'];
const ANSWER = ['It', ' is', ' so', ', 🙂', ' end'];

async function withModel(
  say: readonly string[],
  chatTemplate: string,
  use: (engine: LlamaEngine) => Promise<void>,
): Promise<void> {
  const made = await madeSpec({ say }, { chatTemplate });
  const engine = openLlama(made.spec);
  try {
    await engine.load();
    await use(engine);
  } finally {
    await engine.close();
    await made.remove();
  }
}

async function ask(engine: LlamaEngine, change: Partial<GenerationRequest> = {}) {
  const { events, ...rest } = await answer(engine, { maxTokens: 40, ...change });
  const deltas = events.filter((event) => event.type === 'delta');
  return { ...rest, deltas, thought: deltas.map(({ thought = '' }) => thought).join('') };
}

describe('a model that thinks aloud', () => {
  it('a thought that the template’s prompt opens is told apart from the answer, whole, streamed, with stops and logprobs', async () => {
    await withModel([...THOUGHT, ...ANSWER], OPENED, async (engine) => {
      for (const stream of [true, false]) {
        const { text, thought, usage, reason } = await ask(engine, { stream });
        assert.deepEqual([thought, text, reason], ['Let me see.', ANSWER.join(''), 'stop']);
        assert.equal(usage.completionTokens, THOUGHT.length + ANSWER.length, 'thoughts are counted');
        assert.equal(usage.reasoningTokens, THOUGHT.length, 'with their marks');
      }
      // What a caller takes for the end of an answer does not end a thought.
      const stopped = await ask(engine, { stop: [' me', ' so'] });
      assert.deepEqual([stopped.thought, stopped.text, stopped.reason], ['Let me see.', 'It is', 'stop']);
      const told = (await ask(engine, { topLogprobs: 0 })).deltas.flatMap(({ logprobs = [] }) => logprobs);
      assert.deepEqual(
        told.map(({ token }) => token),
        ANSWER,
      );
      const cut = await ask(engine, { maxTokens: 3 });
      assert.deepEqual([cut.thought, cut.text, cut.reason], ['Let me see', '', 'length']);
      assert.equal(cut.usage.reasoningTokens, 3);
    });
  });

  it('so is one that the model opens itself, also where it may call functions', async () => {
    await withModel(['<think>\n', ...THOUGHT.slice(0, -1), ...ANSWER], THINKING, async (engine) => {
      assert.deepEqual(await ask(engine).then(({ thought, text }) => [thought, text]), [
        'Let me see.',
        ANSWER.join(''),
      ]);
      const tools = { functions: [{ name: 'now' }], choice: 'auto', parallel: true } as const;
      const { thought, text, usage } = await ask(engine, { tools });
      assert.deepEqual([thought, text], ['Let me see.', ANSWER.join('')]);
      // What opens it is a part of it.
      assert.equal(usage.reasoningTokens, usage.completionTokens - ANSWER.length);
      // A prompt that stands without the template is gone on from as it is.
      const raw = await ask(engine, { messages: [], prompt: 'x' });
      assert.deepEqual([raw.thought, raw.text.startsWith('<think>\n')], ['', true]);
      assert.equal(raw.usage.reasoningTokens, undefined);
    });
  });

  it('an answer that is held to a schema begins at once: the opened thought is ended', async () => {
    await withModel(['{"', 'a', '": ', '1', '}'], OPENED, async (engine) => {
      const schema = { type: 'object', properties: { a: { const: 1 } }, required: ['a'], additionalProperties: false };
      const { text, thought, promptTokens, usage } = await ask(engine, {
        responseFormat: { type: 'json_schema', name: 'x', schema },
      });
      assert.deepEqual([thought, JSON.parse(text)], ['', { a: 1 }]);
      assert.equal(usage.reasoningTokens, 0);
      assert.ok(promptTokens > (await ask(engine)).promptTokens);
    });
  });

  it('where the template knows of no thoughts, nothing is taken for one', async () => {
    await withModel(['<think>', ...THOUGHT, ...ANSWER], TAGGED, async (engine) => {
      const { text, thought, usage } = await ask(engine);
      assert.deepEqual([thought, text], ['', ['<think>', ...THOUGHT, ...ANSWER].join('')]);
      assert.equal(usage.reasoningTokens, undefined);
    });
  });
});
