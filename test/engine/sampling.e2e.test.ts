import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { GenerationRequest } from '#engine/engine.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { recurrentModel } from '../fakes/state-models.ts';
import { answer, DEMO_TEXT, demoSpec, madeSpec, openLlama, writeModel } from './demo.ts';

const likelihoods = async (engine: LlamaEngine, change: Partial<GenerationRequest>) => {
  const { events, text } = await answer(engine, change);
  return { text, told: events.flatMap((event) => (event.type === 'delta' ? [...(event.logprobs ?? [])] : [])) };
};

describe('how tokens are chosen', () => {
  let engine: LlamaEngine;
  let loop: LlamaEngine;
  let remove: () => Promise<void>;
  before(async () => {
    engine = openLlama(await demoSpec());
    const made = await madeSpec({ say: [' one', ' two', ' three', ' 你好'], loop: true });
    remove = made.remove;
    loop = openLlama(made.spec);
    await Promise.all([engine.load(), loop.load()]);
  });
  after(async () => {
    await Promise.all([engine.close(), loop.close()]);
    await remove();
  });

  /** The script's tokens have no fixed number: found by asking for each. */
  const idOf = async (token: string) => {
    for (let id = 0; id < 1024; id++) {
      const said = await answer(loop, { logitBias: { [id]: 100 }, maxTokens: 1 }).catch(() => null);
      if (said?.text === token) return id;
    }
    return assert.fail(`no token says ${token}`);
  };

  it('the same seed says the same, and another something else, up to the largest there is', async () => {
    const { spec, remove: forget } = await writeModel(recurrentModel());
    const drawing = openLlama(spec);
    try {
      await drawing.load();
      const say = async (seed: number) => (await answer(drawing, { temperature: 1, maxTokens: 12, seed })).text;
      const seeds = [0, 1, 2 ** 32 - 2, 2 ** 32 - 1];
      const texts: string[] = [];
      for (const seed of seeds) texts.push(await say(seed));
      for (const [at, seed] of seeds.entries()) assert.equal(await say(seed), texts[at], `seed ${seed}`);
      assert.equal(new Set(texts).size, seeds.length);
    } finally {
      await drawing.close();
      await forget();
    }
  });

  it('tells of every token how likely it was, without changing the answer', async () => {
    for (const stream of [true, false]) {
      const { text, told } = await likelihoods(engine, { topLogprobs: 0, stream });
      assert.equal(text, DEMO_TEXT);
      assert.equal(told.map(({ token }) => token).join(''), DEMO_TEXT);
      assert.equal(Buffer.from(told.flatMap(({ bytes }) => bytes ?? [])).toString(), DEMO_TEXT);
      for (const { logprob, top_logprobs } of told) {
        // The wanted token leads by 128: certain, as far as a double can say.
        assert.ok(logprob <= 0 && logprob > -1e-6, String(logprob));
        assert.deepEqual(top_logprobs, []);
      }
    }
  });

  it('tells the model’s own view: no temperature, no top_p, no bias', async () => {
    // A neighbour of “This” in the JSON links of the demo: 1/16 of the lead is 8, so that its logit is known.
    const plain = await likelihoods(engine, { topLogprobs: 3, maxTokens: 2 });
    const [first] = plain.told;
    assert.equal(first?.top_logprobs.length, 3);
    assert.equal(first?.top_logprobs[0]?.token, first?.token);
    const tops = first?.top_logprobs.map(({ logprob }) => logprob) ?? [];
    assert.deepEqual(
      tops.toSorted((a, b) => b - a),
      tops,
    );
    for (const change of [{ temperature: 2, topP: 0.1 }, { temperature: 0.1, topP: 1 }, { logitBias: { 5: 50 } }]) {
      const { told } = await likelihoods(engine, { topLogprobs: 3, maxTokens: 2, ...change });
      assert.deepEqual(told, plain.told);
    }
  });

  it('tells nothing of a stop text, nor of what is held back for one', async () => {
    for (const stream of [true, false]) {
      const { text, told } = await likelihoods(engine, { topLogprobs: 1, stop: [' comes from Strong'], stream });
      assert.equal(text, 'This answer');
      assert.equal(told.map(({ token }) => token).join(''), 'This answer');
    }
  });

  it('a bias of -100 bans a token, 100 leaves nothing else, and both hold their place', async () => {
    const { told } = await likelihoods(loop, { topLogprobs: 1, maxTokens: 4 });
    assert.equal(told.map(({ token }) => token).join(''), ' one two three 你好');
    const three = await idOf(' three');
    assert.equal((await answer(loop, { logitBias: { [three]: 100 }, maxTokens: 3 })).text, ' three three three');
    assert.ok(!(await answer(loop, { logitBias: { [three]: -100 }, maxTokens: 40 })).text.includes(' three'));
  });

  it('refuses a bias for what is no token, and for the end of an answer, before anything runs', async () => {
    const refuses = (logitBias: Record<string, number>, says: RegExp) =>
      assert.rejects(answer(engine, { logitBias }), (error: { code: string; message: string; detail: object }) => {
        assert.equal(error.code, 'invalid_parameter');
        assert.match(error.message, says);
        assert.deepEqual((error.detail as { param: string }).param, 'logit_bias');
        return true;
      });
    await refuses({ 1024: 1 }, /no token 1024.*1024/);
    const end = Array.from({ length: 1024 }, (_, id) => answer(engine, { logitBias: { [id]: 0 }, maxTokens: 1 }));
    const refused = (await Promise.allSettled(end)).filter(({ status }) => status === 'rejected');
    assert.ok(refused.length > 0, 'the token that ends an answer');
  });

  it('penalties weigh against what the answer has already', async () => {
    // Behind “one” the script leads by 128: biased so that “three” is ahead of “two” by one.
    const logitBias = { [await idOf(' two')]: -30, [await idOf(' three')]: 99 };
    const say = async (change: Partial<GenerationRequest>) =>
      (await answer(loop, { logitBias, maxTokens: 8, ...change })).text;
    assert.equal(await say({}), ' one three 你好 one three 你好 one three');
    assert.equal(await say({ presencePenalty: 0.5 }), ' one three 你好 one three 你好 one three');
    assert.equal(await say({ presencePenalty: 2 }), ' one three 你好 one two three 你好 one');
    assert.equal(await say({ frequencyPenalty: 0.8 }), ' one three 你好 one three 你好 one two');
  });
});
