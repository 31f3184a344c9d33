import type { LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import type { LikelyToken, TokenLogprob } from '#engine/engine.ts';
import type { Batches } from './batch.llama.ts';

/** OpenAI's word for as good as impossible; JSON has no infinity. */
const LEAST_LOGPROB = -9999;

/**
 * How likely the model itself held its tokens to be: over the whole vocabulary, before temperature, top_p, bias,
 * penalties and grammar. What the library tells beside a sampled token is what the sampler has left of that, so it is asked
 * once more, greedily and with nothing in between.
 */
export class Likelihood {
  readonly #model: LlamaModel;
  readonly #top: number;
  readonly #batches: Pick<Batches, 'weigh'>;
  /** Told of tokens whose text has not left yet: with the place in the text where each begins. */
  #pending: { readonly at: number; readonly told: TokenLogprob }[] = [];

  /** `top`: of how many alternatives to tell. */
  constructor(model: LlamaModel, top: number, batches: Pick<Batches, 'weigh'>) {
    this.#model = model;
    this.#batches = batches;
    this.#top = top;
  }

  /** Of a token that the last batch chose for the sequence. @param at see `take` */
  async hear(sequence: LlamaContextSequence, token: Token, at: number): Promise<void> {
    this.#pending.push({ at, told: await this.#of(sequence, token) });
  }

  /** Of the tokens whose text is shown; those of a stop text, or of one that may become it, are not. */
  take(shown: number): TokenLogprob[] {
    const told = this.#pending.filter(({ at }) => at < shown);
    this.#pending = this.#pending.filter(({ at }) => at >= shown);
    return told.map((one) => one.told);
  }

  /** What was heard since the last `take` was no part of the text. */
  forget(): void {
    this.#pending = [];
  }

  async #of(sequence: LlamaContextSequence, token: Token): Promise<TokenLogprob> {
    const { logits, total } = await this.#batches.weigh(sequence, token, Math.max(1, this.#top));
    const [best] = logits.values();
    if (best === undefined) throw new Error('no logits');
    const logprobOf = (logit: number) => Math.max(LEAST_LOGPROB, logit - best - Math.log(total));
    const top = [...logits].slice(0, this.#top);
    return {
      ...this.#named(token, logprobOf(logits.get(token) ?? Number.NEGATIVE_INFINITY)),
      top_logprobs: top.map(([id, logit]) => this.#named(id, logprobOf(logit))),
    };
  }

  #named(token: Token, logprob: number): LikelyToken {
    const text = this.#model.detokenize([token], true);
    return { token: text, logprob, bytes: text.includes('\ufffd') ? null : [...Buffer.from(text)] };
  }
}
