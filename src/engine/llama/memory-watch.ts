/** A beat comes every second. */
const BEATS = 30;

/**
 * What a process takes: found when it is ready, the most of what is found later. What is used may grow, and what was freed is taken
 * again. To look is work of the kernel for each page: a millisecond for every 100 MiB, for which it holds the process's memory.
 */
export class MemoryWatch {
  readonly #look: (pid: number) => Promise<number | null>;
  #most: number | null = null;
  #beats = 0;
  #life = 0;
  #looking = false;

  /** @param look bytes of a process; null where unknown. MUST NOT keep the caller's thread */
  constructor(look: (pid: number) => Promise<number | null>) {
    this.#look = look;
  }

  /** Null where it was never found. */
  get most(): number | null {
    return this.#most;
  }

  /** Another process is ready; it takes so much. */
  begin(found: number | null): void {
    this.#life++;
    this.#beats = 0;
    if (found !== null) this.#most = found;
  }

  /** It lives: looks again, now and then. */
  async beat(pid: number | null): Promise<void> {
    if (++this.#beats % BEATS !== 0 || pid === null || this.#looking) return;
    const life = this.#life;
    this.#looking = true;
    const found = await this.#look(pid);
    this.#looking = false;
    if (found !== null && life === this.#life) this.#most = Math.max(found, this.#most ?? 0);
  }
}
