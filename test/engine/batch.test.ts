import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type LlamaContext, LlamaContextSequence, type LlamaModel, type Token } from 'node-llama-cpp';
import { BatchFigures, LibraryBatches } from '#engine/child/batch.llama.ts';
import { TokenChoice } from '#engine/child/sampling.llama.ts';
import { SpentMemory } from '#engine/child/spent-memory.ts';
import { messageOf } from '../fakes/driver-desk.ts';

const T = (...tokens: number[]) => tokens as Token[];

/** The library's parts, written down as they are called. */
function open() {
  const calls: unknown[] = [];
  const chooses: (() => Promise<number>)[] = [];
  const weighs: (() => Promise<unknown>)[] = [];
  let decode: () => Promise<void> = async () => {};
  let place = 0;
  const native = {
    initBatch: (tokens: number) => calls.push(['init', tokens]),
    addToBatch: (sequence: number, at: number, tokens: Uint32Array, choose: Uint32Array) => {
      calls.push(['add', sequence, at, [...tokens], [...choose]]);
      place += tokens.length;
      return choose.map(() => place - 1);
    },
    decodeBatch: () => {
      calls.push('decode');
      return decode();
    },
    disposeSequence: (sequence: number) => calls.push(['dispose', sequence]),
    sampleToken: (at: number, sampler: { readonly name: string }, ...more: unknown[]) => {
      if (more.length > 0) {
        calls.push(['weigh', at, sampler.name, more]);
        return weighs.shift()?.() ?? Promise.resolve([9, undefined, undefined, [9, 2, 4, 0.5], 3]);
      }
      calls.push(['choose', at, sampler.name]);
      return chooses.shift()?.() ?? Promise.resolve(100 + at);
    },
  };
  class AddonSampler {
    static made = 0;
    readonly name = `sampler ${++AddonSampler.made}`;
    applyConfig = (config: object) => calls.push(['use', config]);
    dispose = () => calls.push(['free', this.name]);
  }
  const model = { _model: {}, _llama: { _bindings: { AddonSampler } }, tokenizer: null } as unknown as LlamaModel;
  const sequences = [0, 1, 2].map((id) => ({
    _sequenceId: id,
    _contextTokens: T(7, 8).slice(0, id),
    _nextTokenIndex: id,
    model,
    _resolveSamplerConfig: (LlamaContextSequence.prototype as unknown as { _resolveSamplerConfig: unknown })
      ._resolveSamplerConfig,
  }));
  const figures = new BatchFigures();
  const all = sequences as unknown as LlamaContextSequence[];
  const batches = new LibraryBatches({ _ctx: native } as unknown as LlamaContext, model, all, figures);
  return {
    ...{ batches, figures, calls, chooses, weighs, sequences, model },
    portion: (at: number, tokens: Token[], sampler = null as ReturnType<typeof batches.sampler> | null) => ({
      sequence: all[at] ?? assert.fail('no such sequence'),
      tokens,
      sampler,
    }),
    decodes: (how: typeof decode) => {
      decode = how;
    },
  };
}

describe('a batch', () => {
  it('is one for all portions; chosen is where somebody asked, and the sequences know what they hold', async () => {
    const { batches, figures, calls, sequences, portion } = open();
    const sampler = batches.sampler();
    const portions = [portion(0, T(1, 2, 3)), portion(1, T(4), sampler), portion(2, T(5, 6), sampler)];
    const chosen = await batches.run(portions, () => calls.push('meanwhile'));
    assert.deepEqual(chosen, [null, 103, 105]);
    assert.deepEqual(calls, [
      ['init', 6],
      ['add', 0, 0, [1, 2, 3], []],
      ['add', 1, 1, [4], [0]],
      ['add', 2, 2, [5, 6], [1]],
      'decode',
      'meanwhile',
      ['choose', 3, 'sampler 1'],
      ['choose', 5, 'sampler 1'],
    ]);
    assert.deepEqual(
      sequences.map(({ _contextTokens, _nextTokenIndex }) => [_contextTokens, _nextTokenIndex]),
      [
        [[1, 2, 3], 3],
        [[7, 4], 2],
        [[7, 8, 5, 6], 4],
      ],
    );
    assert.deepEqual(
      { ...figures },
      { ...new BatchFigures(), batches: 1, sequences: 3, largestBatch: 3, inOrder: figures.inOrder },
    );
  });

  it('that can not be computed leaves the sequences as they were, and nothing where nothing was', async () => {
    const { batches, calls, sequences, portion, decodes } = open();
    decodes(() => Promise.reject(new Error('Eval has failed')));
    await assert.rejects(
      batches.run([portion(0, T(9)), portion(1, T(4))], () => {}),
      /Eval has failed/,
    );
    assert.deepEqual(
      sequences.map(({ _nextTokenIndex }) => _nextTokenIndex),
      [0, 1, 2],
    );
    assert.deepEqual(calls.at(-1), ['dispose', 0]);
  });

  it('one for whom nothing can be chosen does not take the others with him', async () => {
    const { batches, chooses, portion } = open();
    const sampler = batches.sampler();
    chooses.push(
      () => Promise.resolve(-1),
      () => Promise.reject(new Error('outside the grammar')),
    );
    const [first, second, third] = await batches.run(
      [portion(0, T(1), sampler), portion(1, T(1), sampler), portion(2, T(1), sampler)],
      () => {},
    );
    assert.ok(first instanceof Error && second instanceof Error);
    assert.match(second.message, /outside the grammar/);
    assert.equal(third, 102);
  });

  it('what was chosen from is weighed where it lies, greedily, one after another, until the next one', async () => {
    const { batches, calls, portion, weighs } = open();
    const portions = [portion(0, T(1)), portion(1, T(2, 3), batches.sampler()), portion(2, T(4), batches.sampler())];
    await batches.run(portions, () => {});
    const [plain, first, second] = portions.map(({ sequence }) => sequence);
    assert.ok(plain && first && second);
    const slow = Promise.withResolvers<unknown>();
    weighs.push(() => slow.promise);
    const [token = assert.fail()] = T(4);
    const broken = batches.weigh(first, token, 2);
    const weighed = batches.weigh(second, token, 1);
    const seen = () => calls.flatMap((call) => (Array.isArray(call) && call[0] === 'weigh' ? [call.slice(1)] : []));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen(), [[2, 'sampler 3', [false, false, [[4], false, false, false, 2], true]]]);
    slow.reject(new Error('no logits'));
    await assert.rejects(broken, /no logits/);
    assert.deepEqual(await weighed, {
      logits: new Map([
        [9, 2],
        [4, 0.5],
      ]),
      total: 3,
    });
    assert.equal(seen().length, 2);
    assert.throws(() => batches.weigh(plain, token, 1), /no token was chosen/);
    await batches.run([portion(0, T(1))], () => {});
    assert.throws(() => batches.weigh(first, token, 1), /no token was chosen/);
  });
});

describe('how tokens are chosen', () => {
  const choose = async (change: Parameters<typeof messageOf>[1]) => {
    const { batches, calls, model } = open();
    const choice = new TokenChoice(messageOf(1, change), {
      ...{ model, batches, contextSize: 512, spent: new SpentMemory(1, () => {}) },
      grammar: () => assert.fail('no grammar'),
    });
    await choice.begin(null);
    return { choice, calls, used: () => calls.filter((call) => Array.isArray(call) && call[0] === 'use') };
  };

  it('without a top_k: that would sort the vocabulary for each token', async () => {
    const { calls } = await choose({ temperature: 0.5, topP: 0.9, seed: 3 });
    const [, config] = calls[0] as [string, Record<string, unknown>];
    assert.equal('topK' in config, false);
    const { temperature, topP, minP, seed } = config;
    assert.deepEqual({ temperature, topP, minP, seed }, { temperature: 0.5, topP: 0.9, minP: 0, seed: 3 });
  });

  it('is said once, and anew for each token where penalties look at what was said', async () => {
    const plain = await choose({});
    plain.choice.chosen(T(5)[0] ?? assert.fail());
    assert.ok(plain.choice.sampler);
    assert.equal(plain.used().length, 1);
    const { choice, used } = await choose({ frequencyPenalty: 1 });
    choice.chosen(T(5)[0] ?? assert.fail());
    assert.ok(choice.sampler);
    const [, config] = used().at(-1) as [string, { repeatPenaltyTokens: Uint32Array }];
    assert.deepEqual([...config.repeatPenaltyTokens], [5]);
  });

  it('what chooses is freed at the end', async () => {
    const { choice, calls } = await choose({});
    choice.end();
    choice.end();
    assert.deepEqual(calls.at(-1), ['free', 'sampler 1']);
    assert.equal(choice.sampler, null);
  });
});
