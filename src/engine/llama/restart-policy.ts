/** A child that lives this long after its load was sound; what killed it then was something new. */
const SOUND_AFTER_MS = 60_000;
const MOST_EARLY_DEATHS = 3;
const FIRST_DELAY_MS = 500;
const MOST_DELAY_MS = 30_000;

/**
 * When to start a dead child again: the first time at once, then after 0.5 s, doubling to 30 s. Three deaths in a row
 * within 60 s of their loads mean that it is the model, not chance: it is then left alone until somebody loads it anew.
 */
export class RestartPolicy {
  #early = 0;
  #deaths = 0;

  /** Deaths since the gateway started. */
  get deaths(): number {
    return this.#deaths;
  }

  /**
   * @param livedMs how long the child was ready; null when it died before
   * @returns the delay in milliseconds, or null to give up
   */
  died(livedMs: number | null): number | null {
    this.#deaths++;
    this.#early = livedMs === null || livedMs < SOUND_AFTER_MS ? this.#early + 1 : 1;
    if (this.#early >= MOST_EARLY_DEATHS) return null;
    return this.#early === 1 ? 0 : Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** (this.#early - 2));
  }

  /** Somebody decided to try again. */
  forgive(): void {
    this.#early = 0;
  }
}
