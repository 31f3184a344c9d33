import type { TokenLogprob } from '#engine/engine.ts';

/** OpenAI's older form: four lists, a place for each token. */
export interface LegacyLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  /** The likeliest ones by their text, and the chosen one where it is not among them. */
  readonly top_logprobs: Record<string, number>[];
  /** Where each token begins in the answer's text, in characters (Unicode code points). */
  readonly text_offset: number[];
}

/** Writes probabilities in the older form, piece by piece; the offsets go on from piece to piece. */
export class LegacyLogprobsWriter {
  #offset = 0;

  /** Of the tokens whose text this is. */
  piece(text: string, logprobs: readonly TokenLogprob[]): LegacyLogprobs {
    const begins = beginsOf(text, logprobs);
    const before = this.#offset;
    this.#offset += lengthOf(text);
    return {
      tokens: logprobs.map(({ token }) => token),
      token_logprobs: logprobs.map(({ logprob }) => logprob),
      top_logprobs: logprobs.map(({ token, logprob, top_logprobs: top }) => {
        const likely = Object.fromEntries(top.toReversed().map((one) => [one.token, one.logprob]));
        return { ...likely, [token]: logprob };
      }),
      text_offset: begins.map((begin) => before + lengthOf(text.slice(0, begin))),
    };
  }
}

/**
 * The place of each token, found in the text itself: tokens that are parts of a character stand where that begins, and one
 * that is not there as it is written (a model's first blank, say) where the text has got to.
 */
function beginsOf(text: string, logprobs: readonly TokenLogprob[]): number[] {
  let at = 0;
  let isLost = false;
  return logprobs.map(({ token, bytes }) => {
    const found = bytes === null ? -1 : isLost ? text.indexOf(token, at) : text.startsWith(token, at) ? at : -1;
    isLost = found < 0;
    if (isLost) return at;
    at = found + token.length;
    return found;
  });
}

const lengthOf = (text: string): number => [...text].length;
