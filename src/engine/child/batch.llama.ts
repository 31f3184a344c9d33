import type {
  BatchItem,
  LlamaContext,
  LlamaContextSequence,
  LlamaModel,
  PrioritizedBatchItem,
  SequenceEvaluateOptions,
  Token,
} from 'node-llama-cpp';

/** Chooses the tokens of one answer: the same seed, the same choices. */
export interface Sampler {
  /** How, from now on. */
  use(options: SequenceEvaluateOptions): void;
  free(): void;
}

/** What a sequence has in a batch: tokens that go on it, and what chooses the one after them; null: nobody asks for that. */
export interface Portion {
  readonly sequence: LlamaContextSequence;
  readonly tokens: readonly Token[];
  readonly sampler: Sampler | null;
}

/** The token that was chosen, null where nobody asked for one; or why there is none. */
export type Chosen = Token | null | Error;

/** Computes what several sequences have to compute, all at once. */
export interface Batches {
  sampler(): Sampler;
  /**
   * One batch. The portions together MUST NOT be longer than a batch, and nothing else may be computed in this context until it
   * is over. @param meanwhile is called once other threads compute @throws Error where nothing could be computed
   */
  run(portions: readonly Portion[], meanwhile: () => void): Promise<readonly Chosen[]>;
  /** Of a sequence for which the last batch chose a token, and before anything else is computed. */
  weigh(sequence: LlamaContextSequence, token: Token, top: number): Promise<Weights>;
}

/** What the model itself made of the choice, over the whole vocabulary and before any sampler. */
export interface Weights {
  /** Of the likeliest tokens, those first, and of the one that was asked for. */
  readonly logits: ReadonlyMap<Token, number>;
  /** Sum over the vocabulary of e to the power of each logit less the highest. */
  readonly total: number;
}

/**
 * The library's own parts underneath its `evaluate()` (3.22.1, which package.json pins exactly). Its way to them, generators, locks, a
 * queue and three turns of the event loop for each token, takes a quarter of a millisecond where the caches are warm and a whole one
 * where a model of any size has just been read through them: as much as 5 % of a token of 254 M parameters.
 */
interface Native {
  initBatch(tokens: number): void;
  /** @param choose which of the tokens, by their places among these @returns their places in the batch */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, choose: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  /** Takes back all that it holds. */
  disposeSequence(sequence: number): void;
  sampleToken(place: number, sampler: NativeSampler): Promise<number>;
  /** Chooses as well, and tells pairs of token and logit. `wanted`: of those tokens and of so many of the likeliest. */
  sampleToken(
    place: number,
    sampler: NativeSampler,
    probabilities: false,
    confidence: false,
    wanted: readonly [tokens: readonly Token[], highest: false, lowest: false, chosen: false, top: number],
    total: true,
  ): Promise<
    readonly [token: number, probabilities: unknown, confidence: unknown, logits?: ArrayLike<number>, total?: number]
  >;
}
interface NativeSampler {
  applyConfig(config: object): void;
  dispose(): void;
}
interface Inside {
  readonly _ctx: Native;
}
interface InsideModel {
  readonly _model: object;
  readonly _llama: { readonly _bindings: { readonly AddonSampler: new (model: object) => NativeSampler } };
}
interface InsideSequence {
  readonly _sequenceId: number;
  readonly _contextTokens: Token[];
  _nextTokenIndex: number;
  _resolveSamplerConfig(options: SequenceEvaluateOptions): object;
}

const inside = (sequence: LlamaContextSequence) => sequence as unknown as InsideSequence;
const NONE = new Uint32Array(0);
const FAILED = -1;

class LibrarySampler implements Sampler {
  readonly native: NativeSampler;
  readonly #configOf: InsideSequence;

  constructor(native: NativeSampler, configOf: InsideSequence) {
    this.native = native;
    this.#configOf = configOf;
  }
  use(options: SequenceEvaluateOptions): void {
    this.native.applyConfig(this.#configOf._resolveSamplerConfig(options));
  }
  free(): void {
    this.native.dispose();
  }
}

export class LibraryBatches implements Batches {
  readonly #native: Native;
  readonly #model: InsideModel;
  readonly #configOf: InsideSequence;
  readonly #figures: BatchFigures;
  /** Where the last batch has what was chosen from. */
  readonly #places = new Map<LlamaContextSequence, number>();
  #greedy: LibrarySampler | null = null;
  #weighed: Promise<unknown> = Promise.resolve();

  /** @param sequences of this context, one at least */
  constructor(context: LlamaContext, model: LlamaModel, [any]: readonly LlamaContextSequence[], figures: BatchFigures) {
    if (any === undefined) throw new Error('a context without sequences');
    this.#native = (context as unknown as Inside)._ctx;
    this.#model = model as unknown as InsideModel;
    this.#configOf = inside(any);
    this.#figures = figures;
  }

  sampler(): LibrarySampler {
    const { _llama, _model } = this.#model;
    return new LibrarySampler(new _llama._bindings.AddonSampler(_model), this.#configOf);
  }

  async run(portions: readonly Portion[], meanwhile: () => void): Promise<readonly Chosen[]> {
    const native = this.#native;
    this.#places.clear();
    native.initBatch(portions.reduce((sum, { tokens }) => sum + tokens.length, 0));
    const places = portions.map(({ sequence, tokens, sampler }) => {
      const { _sequenceId, _nextTokenIndex } = inside(sequence);
      const choose = sampler === null ? NONE : Uint32Array.of(tokens.length - 1);
      return native.addToBatch(_sequenceId, _nextTokenIndex, Uint32Array.from(tokens), choose)[0];
    });
    const computed = native.decodeBatch();
    meanwhile();
    try {
      await computed;
    } catch (error) {
      this.#takeBack(portions);
      throw error;
    }
    this.#figures.add(portions.length);
    for (const { sequence, tokens } of portions) {
      const state = inside(sequence);
      state._contextTokens.push(...tokens);
      state._nextTokenIndex += tokens.length;
    }
    for (const [at, { sequence }] of portions.entries()) {
      const place = places[at];
      if (place !== undefined) this.#places.set(sequence, place);
    }
    return Promise.all(portions.map(({ sampler }, at) => this.#choose(sampler, places[at])));
  }

  weigh(sequence: LlamaContextSequence, token: Token, top: number): Promise<Weights> {
    const place = this.#places.get(sequence);
    if (place === undefined) throw new Error('no token was chosen there');
    this.#greedy ??= this.sampler();
    this.#greedy.use({ temperature: 0 });
    const { native } = this.#greedy;
    const weighed = this.#weighed.then(() =>
      this.#native.sampleToken(place, native, false, false, [[token], false, false, false, top], true),
    );
    // One after another: a sampler has room for one vocabulary.
    this.#weighed = weighed.catch(() => {});
    return weighed.then(weightsOf);
  }

  /**
   * A part of it may have been computed. Whoever held something is wiped by whom it is for; who held nothing, as far as the library
   * knows, has nothing to be wiped, and llama.cpp would take no other beginning there, nor anything else in that batch.
   */
  #takeBack(portions: readonly Portion[]): void {
    for (const { sequence } of portions) {
      const { _sequenceId, _nextTokenIndex } = inside(sequence);
      if (_nextTokenIndex === 0) this.#native.disposeSequence(_sequenceId);
    }
  }

  #choose(sampler: Sampler | null, place: number | undefined): Promise<Chosen> | null {
    if (!(sampler instanceof LibrarySampler) || place === undefined) return null;
    return this.#native.sampleToken(place, sampler.native).then(
      (token) => (token === FAILED ? new Error('the engine could not choose a token') : (token as Token)),
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
  }
}

function weightsOf([, , , pairs, total]: readonly [unknown, unknown, unknown, ArrayLike<number>?, number?]): Weights {
  if (pairs === undefined || total === undefined) throw new Error('no logits');
  const logits = new Map<Token, number>();
  for (let at = 0; at + 1 < pairs.length; at += 2) logits.set(pairs[at] as Token, pairs[at + 1] as number);
  return { logits, total };
}

/** What the batches were made of: the proof that sequences run together. */
export class BatchFigures {
  batches = 0;
  sequences = 0;
  largestBatch = 0;

  add(sequences: number): void {
    this.batches++;
    this.sequences += sequences;
    this.largestBatch = Math.max(this.largestBatch, sequences);
  }

  /** Of what the library makes itself: everything that waits goes in, in the order of the sequences; the driver's budgets make it fit. */
  readonly inOrder = ({ items, size }: { items: readonly BatchItem[]; size: number }): PrioritizedBatchItem[] => {
    let left = size;
    const batch: PrioritizedBatchItem[] = [];
    for (const item of items) {
      const processAmount = Math.min(item.tokens.length, left);
      if (processAmount === 0) break;
      batch.push({ item, processAmount });
      left -= processAmount;
    }
    this.add(batch.length);
    return batch;
  };
}
