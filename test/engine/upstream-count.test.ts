import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countOf, promptBound } from '#engine/upstream/upstream-count.ts';
import { busyProblem, refusalOf, retryAfterMs } from '#engine/upstream/upstream-refusal.ts';
import { Problem } from '#kernel/problem.ts';
import { request } from './demo.ts';

/** An answer of 120 bytes for which 50 tokens were asked. */
const own = {
  texts: ['What are you? 你好'],
  prompt: promptBound(request()),
  completion: 50,
  bytes: 120,
  asked: 50,
  mayCall: false,
};
const ours = { promptTokens: own.prompt, completionTokens: 50, cachedTokens: 0 };
const said = (prompt_tokens: number, completion_tokens: number, cached_tokens?: number) =>
  countOf({ prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } }, own);

describe('usage, held against our own count', () => {
  it('what can be is taken as it is', () => {
    assert.deepEqual(said(9, 30, 4), {
      usage: { promptTokens: 9, completionTokens: 30, cachedTokens: 4 },
      disagrees: null,
    });
    assert.equal(said(9, 50).usage.completionTokens, 50);
  });

  it('none at all: the most that it can be', () => {
    assert.deepEqual(countOf(null, own), { usage: ours, disagrees: null });
  });

  it('a template’s own words are no lie, and not charged', () => {
    const { usage, disagrees } = said(own.prompt + 200, 30);
    assert.deepEqual([usage.promptTokens, usage.completionTokens, disagrees], [own.prompt, 30, null]);
  });

  for (const [what, prompt, completion, disagrees] of [
    ['more prompt than bytes', 5000, 30, 'prompt'],
    ['no prompt', 0, 30, 'prompt'],
    ['more than was asked for', 9, 51, 'completion'],
    ['less than the text can be', 9, 1, 'completion'],
  ] as const) {
    it(`${what}: our own count stands`, () => {
      assert.deepEqual(said(prompt, completion), { usage: ours, disagrees });
    });
  }

  it('more tokens than bytes came: our own count stands', () => {
    const few = { ...own, completion: 3, bytes: 3 };
    const reported = { prompt_tokens: 9, completion_tokens: 40 };
    const five = { ...reported, completion_tokens: 5 };
    assert.equal(countOf(reported, few).disagrees, 'completion');
    const { usage, disagrees } = countOf(five, few);
    assert.deepEqual([usage.completionTokens, disagrees], [5, null], 'tokens that end a turn');
  });

  it('where functions may be called, what was computed of a call that was not shown counts', () => {
    const unseen = { ...own, completion: 0, bytes: 0, mayCall: true };
    const reported = { prompt_tokens: 9, completion_tokens: 40 };
    const { usage, disagrees } = countOf(reported, unseen);
    assert.deepEqual([usage.completionTokens, disagrees], [40, null]);
    assert.equal(countOf({ ...reported, completion_tokens: 51 }, unseen).disagrees, 'completion');
  });

  it('tokens of a thought, where there can be so many; else nothing is said of them', () => {
    const thought = (reasoning_tokens: unknown, details: unknown = { reasoning_tokens }) =>
      countOf({ prompt_tokens: 9, completion_tokens: 30, completion_tokens_details: details }, own);
    for (const fits of [0, 12, 30]) assert.equal(thought(fits).usage.reasoningTokens, fits);
    for (const none of [31, -1, 1.5, '12', null, undefined, Number.NaN, [3]])
      assert.deepEqual(thought(none), { usage: { ...said(9, 30).usage }, disagrees: null });
    for (const none of [null, 12, 'x', [12], {}]) assert.equal(thought(0, none).usage.reasoningTokens, undefined);
  });

  it('more cached than there was', () => {
    assert.deepEqual(said(9, 30, 10), {
      usage: { promptTokens: 9, completionTokens: 30, cachedTokens: 9 },
      disagrees: 'cached',
    });
  });
});

describe('what a model server refuses', () => {
  it('Retry-After in seconds, as a date, and what is neither', () => {
    const now = Date.parse('2026-03-01T00:00:00Z');
    assert.equal(retryAfterMs('7', now), 7000);
    assert.equal(retryAfterMs('Sun, 01 Mar 2026 00:00:30 GMT', now), 30_000);
    assert.equal(retryAfterMs('Sat, 28 Feb 2026 00:00:00 GMT', now), 0);
    assert.equal(retryAfterMs('86400', now), 300_000, 'nobody is left alone for a day');
    for (const none of [undefined, '', '-1', 'soon', '1e9x']) assert.equal(retryAfterMs(none, now), null, none);
    assert.equal(busyProblem(1, null).detail.retryAfter, 1);
  });

  it('tells a prompt that is too long from other bad parameters, in any server’s words', () => {
    const tooLong = new Problem('context_length_exceeded');
    const refused = { tooLong: () => tooLong, schemaParam: null };
    const refusal = (status: number, message: string) =>
      refusalOf(status, { code: null, message, param: null }, refused);
    for (const words of [
      "This model's maximum context length is 4096 tokens",
      'the request exceeds the available context size',
      'Input is longer: too many tokens',
    ])
      assert.equal(refusal(400, words), tooLong, words);
    const coded = { code: 'context_length_exceeded', message: 'Too much.', param: 'messages' };
    assert.equal(refusalOf(400, coded, refused), tooLong);
    assert.equal(refusal(400, 'temperature').code, 'invalid_parameter');
    assert.equal(refusal(413, ''), tooLong);
    for (const status of [302, 403, 500, 502]) assert.equal(refusal(status, '').code, 'engine_failed');
  });
});
