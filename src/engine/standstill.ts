/** Looks at the clock that lie so far apart, in milliseconds, mean that it was us who stood still. */
const STALL_MS = 5000;

/**
 * Whether this process itself stood still since it last looked: stopped, frozen together with its children, or busy. What came in the
 * meantime waits to be read, and who was to say something may have stood still as well: that time is held against nobody.
 */
export class Standstill {
  #looked: number | null = null;

  /** To be called every second at least. @returns milliseconds that were lost; 0 where it looks in time */
  look(now: number): number {
    const since = now - (this.#looked ?? now);
    this.#looked = now;
    return since > STALL_MS ? since : 0;
  }
}
