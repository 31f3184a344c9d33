import type { Clock } from '#kernel/clock.ts';

/** The public is answered from what was found at most so long ago: asking often must not become work for the database. */
const FRESH_MS = 1_000;

/** Whether work can be taken, asked of the database at most once a second however often the public asks. */
export class Readiness {
  readonly #probe: () => Promise<boolean>;
  readonly #clock: Clock;
  #found: Promise<boolean> | null = null;
  #at = 0;

  /** `probe` asks; a rejection means no. */
  constructor(probe: () => Promise<boolean>, clock: Clock) {
    this.#probe = probe;
    this.#clock = clock;
  }

  isReady(): Promise<boolean> {
    if (this.#found === null || this.#clock.monotonic() - this.#at >= FRESH_MS) {
      this.#at = this.#clock.monotonic();
      this.#found = this.#probe().catch(() => false);
    }
    return this.#found;
  }
}
