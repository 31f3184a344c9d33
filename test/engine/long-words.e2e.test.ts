import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import type { LlamaModelSpec } from '#engine/model-spec.ts';
import { Problem } from '#kernel/problem.ts';
import { PAID } from '../fakes/credit.ts';
import { slidingModel } from '../fakes/state-models.ts';
import { answer, collect, NEVER, openLlama, request, told, writeModel } from './demo.ts';

const SIGNS = ['a', 'A', ' ', '1', '!', '\n', '漢', 'a1+/', '\u0301', '\u{1f642}'];
const LONG = 60_000;

const withModel = async (
  words: string,
  use: (engine: LlamaEngine) => Promise<void>,
  change: Partial<LlamaModelSpec> = {},
) => {
  const { spec, remove } = await writeModel(slidingModel(64, words), { contextSize: 2048, ...change });
  const engine = openLlama(spec);
  try {
    await engine.load();
    await use(engine);
    assert.equal(engine.status().restarts, 0);
  } finally {
    await engine.close();
    await remove();
  }
};
const isTooLong = (error: unknown) => error instanceof Problem && error.code === 'context_length_exceeded';

describe('words without end', () => {
  for (const words of ['gpt-4o', 'tekken', 'bloom'])
    it(`kill no model that cuts texts as ${words} does: as prompt and in a conversation`, () =>
      withModel(words, async (engine) => {
        for (const sign of SIGNS) {
          const content = sign.repeat(Math.ceil(LONG / sign.length));
          await assert.rejects(answer(engine, { messages: [{ role: 'user', content }] }), isTooLong);
          await assert.rejects(collect(told(engine, request({ messages: [], prompt: content }), NEVER)), isTooLong);
        }
        assert.equal((await answer(engine, { maxTokens: 2 })).usage.completionTokens, 2);
      }));

  it('are not counted to their end, where they are many times what fits', () =>
    withModel('gpt-4o', async (engine) => {
      const asked = { messages: [], prompt: '7'.repeat(120_000) };
      await assert.rejects(
        answer(engine, asked),
        (error) =>
          isTooLong(error) && /has at least (\d{4}|1\d{4}) tokens.*holds 2048/.test((error as Problem).message),
      );
    }));

  it('kill no model that makes vectors', () =>
    withModel(
      'gpt-4o',
      async (engine) => {
        for (const sign of SIGNS)
          await assert.rejects(
            collect(
              engine.embed(
                {
                  requestId: 'req_test',
                  model: 'demo',
                  subject: 'usr_a',
                  inputs: [sign.repeat(Math.ceil(LONG / sign.length))],
                  credit: PAID,
                },
                NEVER,
              ),
            ),
            isTooLong,
          );
      },
      { embedding: true, chatTemplate: null },
    ));

  it('and a text of ordinary ones has the tokens that it has in parts', () =>
    withModel('gpt-4o', async (engine) => {
      const count = async (content: string) => {
        const told = await answer(engine, { messages: [], prompt: content, maxTokens: 1 }).catch(
          (error: Problem) => error,
        );
        return told instanceof Problem ? Number(/has (\d+) tokens/.exec(told.message)?.[1]) : told.usage.promptTokens;
      };
      const words = ' the letter of the credit that the bank took, it says: there';
      const once = await count(words);
      assert.equal(await count(words.repeat(120)), 120 * once);
    }));
});
