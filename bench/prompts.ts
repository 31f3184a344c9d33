import type { ModelName } from './engine-sides.ts';

/** Ordinary words, each of which is a token or a few for any model. */
const WORDS =
  'the report of bank for year and risk each loan to customer with account in city is on rate balance'.split(' ');

/** About 128 tokens, the template included. */
export const PROMPT_WORDS: Readonly<Record<ModelName, number>> = { made: 48, demo: 107 };

/**
 * Texts of the same number of tokens that begin differently, so that no cache helps: the same words in another order each
 * time. xorshift32, so that every run asks the same.
 */
export class Prompts {
  #state = 0x2545f491;

  next(words: number): string {
    const bag = Array.from({ length: words }, (_, n) => WORDS[n % WORDS.length] ?? '');
    for (let n = bag.length - 1; n > 0; n--) {
      const other = this.#random() % (n + 1);
      [bag[n], bag[other]] = [bag[other] ?? '', bag[n] ?? ''];
    }
    // The first word has no blank before it, which makes other tokens of it.
    return `About ${bag.join(' ')}`;
  }

  #random(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }
}
