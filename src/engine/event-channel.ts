/**
 * Hands events from a callback world to one async reader, in order, without loss. Writing never waits: what can pile up
 * is bounded by the answer's own length.
 */
export class EventChannel<T> {
  readonly #events: T[] = [];
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(event: T): void {
    if (this.#ended) return;
    this.#events.push(event);
    this.#wake?.();
  }

  /** No more events; those that are there can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader gets what is there, then this reason is thrown. */
  fail(reason: unknown): void {
    if (this.#ended) return;
    this.#failure = { reason };
    this.end();
  }

  /** Forgets what was not read and throws at once. */
  abort(reason: unknown): void {
    this.#events.length = 0;
    this.#ended = true;
    this.#failure = { reason };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) yield event;
      if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure.reason;
        return;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
  }
}
