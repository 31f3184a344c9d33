/** So much may hang on objects that nobody needs any more, and on so many of them. */
const MOST_BYTES = 32 * 2 ** 20;
const MOST_SAMPLERS = 128;
/** What a sampler keeps for each token of the vocabulary: its number, its logit and its share. */
const BYTES_PER_TOKEN = 12;

/**
 * Memory that the library gives back only when V8 collects the object that it hangs on (3.22.1). Each answer and each step
 * that foresees has a sampler, with room for the whole vocabulary, which V8 takes for a few
 * bytes: left to itself it collects nothing for thousands of answers (demo: 100 MiB more than it needs, a vocabulary of
 * 150,000: 2 MB an answer). So it is asked to, by what hangs there.
 */
export class SpentMemory {
  readonly #most: number;
  readonly #collect: () => void;
  #samplers = 0;

  /** @param collect is called from within `sampler()`; some ten milliseconds of work, best done beside arithmetic */
  constructor(vocabulary: number, collect: () => void) {
    this.#most = Math.max(1, Math.min(MOST_SAMPLERS, Math.floor(MOST_BYTES / (vocabulary * BYTES_PER_TOKEN))));
    this.#collect = collect;
  }

  /** One more was made. */
  sampler(): void {
    if (++this.#samplers < this.#most) return;
    this.#samplers = 0;
    this.#collect();
  }
}
