import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CompletionRequest } from '#completions/completions.contract.ts';
import { askOf, generationRequests, shareOut, tokensToReserve } from '#completions/completions.ts';
import { PAID } from '../fakes/credit.ts';

const LLAMA = { engine: 'llama', contextSize: 1024 } as const;
const UPSTREAM = { engine: 'upstream', contextSize: null } as const;
const body = (change: object = {}) => ({ model: 'm', prompt: 'x'.repeat(400), ...change });
const granted = (max_tokens: number) => ({ max_tokens, context: null, changes: [] });

describe('completions of prompts', () => {
  it('take OpenAI’s 16 tokens where nothing is said', () => {
    assert.equal(askOf(body(), { temperature: 0.7, top_p: 0.95 }).defaults?.max_tokens, 16);
    const [request] = generationRequests(body(), null, { requestId: 'r', subject: 'u' }, [PAID]);
    assert.equal(request?.maxTokens, 16);
    assert.deepEqual([request?.prompt, request?.messages], ['x'.repeat(400), []]);
  });

  it('reserve an estimate of each prompt and the first slice of each answer; of another server’s the whole', () => {
    assert.deepEqual(tokensToReserve(body(), granted(2000), LLAMA), { tokens: 108 + 512, least: 109 });
    const two = body({ prompt: ['x'.repeat(400), 'x'.repeat(40)] });
    assert.deepEqual(tokensToReserve(two, granted(2000), LLAMA), { tokens: 108 + 18 + 1024, least: 127 });
    assert.deepEqual(tokensToReserve(two, granted(10), LLAMA), { tokens: 108 + 18 + 20, least: 127 });
    assert.deepEqual(tokensToReserve(body(), granted(2000), UPSTREAM), { tokens: 408 + 2000, least: 409 });
    assert.equal(tokensToReserve(body({ stream: true }), granted(2000), UPSTREAM).tokens, 408 + 512);
  });

  it('with n: each prompt so often, side by side, each choice of it with a seed of its own; all of it reserved', () => {
    const two = body({ prompt: ['a', 'b'], n: 2, seed: 4_294_967_295, logprobs: 0 });
    const requests = generationRequests(two, null, { requestId: 'r', subject: 'u' }, [PAID, PAID, PAID, PAID]);
    assert.deepEqual(
      requests.map(({ prompt, seed, topLogprobs }) => [prompt, seed, topLogprobs]),
      [
        ['a', 4_294_967_295, 0],
        ['a', 0, 0],
        ['b', 4_294_967_295, 0],
        ['b', 0, 0],
      ],
    );
    assert.deepEqual(tokensToReserve(two, granted(10), LLAMA), { tokens: 4 * (9 + 10), least: 4 * 9 + 1 });
    assert.deepEqual(shareOut(80, two, LLAMA), [20, 20, 20, 20]);
  });

  it('deal out exactly what was reserved, however little that is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 20 }),
        fc.nat(20_000),
        (prompt, tokens) => {
          const shares = shareOut(tokens, body({ prompt }), LLAMA);
          assert.equal(shares.length, prompt.length);
          assert.ok(shares.every((share) => share >= 0 && Number.isInteger(share)));
          assert.equal(
            shares.reduce((sum, share) => sum + share, 0),
            tokens,
          );
        },
      ),
    );
  });

  it('refuse by its name what is not served, and take its neutral value', () => {
    const asked = (change: object) => CompletionRequest.safeParse(body(change));
    for (const [name, value, neutral] of [
      ['best_of', 3, 1],
      ['echo', true, false],
      ['suffix', 'end', ''],
      ['frequency_penalty', 0.5, 0],
      ['presence_penalty', 1, 0],
      ['logit_bias', { 50256: -100 }, {}],
    ] as const) {
      const refused = asked({ [name]: value }).error?.issues[0];
      assert.deepEqual(refused?.path, [name], name);
      assert.notEqual(refused.code, 'invalid_type', `${name}: a value that is not served is no wrong type`);
      for (const fine of [neutral, null, undefined]) assert.ok(asked({ [name]: fine }).success, `${name} ${fine}`);
    }
    assert.ok(asked({ prompt: Array(8).fill('a'), n: 8, logprobs: 5 }).success);
    for (const [name, change] of [
      ['n', { n: 9 }],
      ['n', { prompt: Array(9).fill('a'), n: 8 }],
      ['logprobs', { logprobs: 6 }],
    ] as const)
      assert.deepEqual(asked(change).error?.issues[0]?.path, [name]);
    for (const prompt of ['', [], [''], ['a', ''], Array(65).fill('a'), [1, 2], [[1, 2]], null])
      assert.equal(asked({ prompt }).success, false, JSON.stringify(prompt));
  });
});
