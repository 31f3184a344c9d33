import type { TokenLogprob } from '#engine/engine.ts';
import { UpstreamError } from './answer.upstream.ts';
import { readLogprobs, type UpstreamPiece } from './completion.contract.ts';

/**
 * Probabilities of one answer's tokens, brought together with its text. A server tells them as it samples, which can be before
 * the text comes: a character isn't whole yet, or what may begin a stop sequence is held back. Those of a thought, of a call
 * and of what ends a turn are told too, and leave with no text.
 */
export class Likelihoods {
  readonly #top: number;
  readonly #most: number;
  readonly #isWhole: boolean;
  #ahead: TokenLogprob[] = [];
  #followsThought = false;

  /** `most`: tokens that the answer may have. `isWhole`: it comes in one piece. */
  constructor(top: number, { most, isWhole }: { readonly most: number; readonly isWhole: boolean }) {
    this.#top = top;
    this.#most = most;
    this.#isWhole = isWhole;
  }

  /** What leaves with the text of a piece. @throws UpstreamError where none came for it, or more than it has tokens */
  take({ text, thought, logprobs }: UpstreamPiece): readonly TokenLogprob[] | undefined {
    const told = readLogprobs(logprobs, this.#top);
    if (told === null) throw new UpstreamError('malformed logprobs');
    const ahead = this.#ahead;
    ahead.push(...told);
    if (ahead.length > this.#most) throw new UpstreamError('more logprobs than tokens were asked for');
    this.#followsThought ||= thought !== '';
    if (text === '') return undefined;
    if (ahead.length === 0) throw new UpstreamError('answer without the logprobs asked for');
    this.#ahead = [];
    if (!this.#isWhole && !this.#followsThought) return ahead;
    this.#followsThought = false;
    const { from, to } = within(ahead, text);
    return ahead.slice(from, this.#isWhole ? to : undefined);
  }
}

/** Which of the tokens the text is made of: the last ones that can be. All, where none can. */
function within(tokens: readonly TokenLogprob[], text: string): { readonly from: number; readonly to: number } {
  for (let last = tokens.length - 1; last >= 0; last--) {
    if (tokens[last]?.token === '') continue;
    const to = endOf(text, tokens, last);
    if (to === null) continue;
    let from = last;
    // The first bytes of its first character.
    while (tokens[from - 1]?.token === '') from--;
    return { from, to };
  }
  return { from: 0, to: tokens.length };
}

/** Behind the last token of a text that begins with this one; null where it can't begin with it. */
function endOf(text: string, tokens: readonly TokenLogprob[], first: number): number | null {
  let length = 0;
  for (let at = first; at < tokens.length; at++) {
    const { token } = tokens[at] ?? { token: '' };
    // The last one may be cut by a stop sequence.
    const isPart = text.startsWith(token, length) || token.startsWith(text.slice(length));
    if (!isPart) return null;
    length += token.length;
    if (length >= text.length) return at + 1;
  }
  return null;
}
