import { Problem } from '#kernel/problem.ts';

/** Waiting callers, served in turn by subject, so that one user's hundred requests do not stand before another's one. */
export class FairQueue<T> {
  readonly #bySubject = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(subject: string, item: T): void {
    const own = this.#bySubject.get(subject);
    if (own === undefined) this.#bySubject.set(subject, [item]);
    else own.push(item);
    this.#size++;
  }

  /** The next subject's oldest item; that subject then goes to the end of the round. */
  shift(): T | undefined {
    for (const [subject, own] of this.#bySubject) {
      const item = own.shift();
      this.#bySubject.delete(subject);
      if (own.length > 0) this.#bySubject.set(subject, own);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @returns false when the item is not (or no longer) waiting. */
  remove(subject: string, item: T): boolean {
    const own = this.#bySubject.get(subject);
    const at = own?.indexOf(item) ?? -1;
    if (own === undefined || at < 0) return false;
    own.splice(at, 1);
    if (own.length === 0) this.#bySubject.delete(subject);
    this.#size--;
    return true;
  }

  /** Takes out the newest item of the subject that has most, if it has more than this one would have with one more. */
  displaceFor(subject: string): T | undefined {
    let most: readonly [string, T[]] | undefined;
    for (const entry of this.#bySubject) if (most === undefined || entry[1].length > most[1].length) most = entry;
    if (most === undefined || most[1].length <= (this.#bySubject.get(subject)?.length ?? 0) + 1) return undefined;
    const item = most[1].pop();
    this.#size--;
    return item;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const own of this.#bySubject.values()) yield* own;
  }
}

export interface TurnstileOptions {
  /** How many may be inside at once. */
  readonly slots: number;
  /** How many may wait; one more is turned away at once. */
  readonly maxQueue: number;
  /** How long one may wait while the door is open. Milliseconds. */
  readonly maxWaitMs: number;
  /** How long one may wait while the door is closed, that is, while the model loads. Milliseconds. */
  readonly maxClosedWaitMs: number;
  /** Calls back after so many milliseconds; the result takes the call back. */
  readonly after: (milliseconds: number, call: () => void) => () => void;
}

interface Waiter {
  readonly subject: string;
  readonly enter: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** The queue in front of an engine's slots. Closed at first. */
export class Turnstile {
  readonly #options: TurnstileOptions;
  readonly #queue = new FairQueue<Waiter>();
  #inside = 0;
  #open = false;

  constructor(options: TurnstileOptions) {
    this.#options = options;
  }

  get busy(): number {
    return this.#inside;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Lets waiting callers in as slots are free. */
  open(): void {
    this.#open = true;
    this.#admit();
  }

  /** Newcomers wait from now on. Whoever is inside stays until his `leave`. */
  close(): void {
    this.#open = false;
  }

  /** Turns everybody away who waits. */
  refuseAll(reason: Problem): void {
    for (let waiter = this.#queue.shift(); waiter !== undefined; waiter = this.#queue.shift()) waiter.refuse(reason);
  }

  /**
   * Waits for a slot. The result gives it back; calling it twice does no harm.
   *
   * @throws Problem `overloaded` or `model_loading` with `retryAfter`; `signal.reason` on abort.
   */
  async enter(subject: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (!this.#open || this.#inside >= this.#options.slots || this.#queue.size > 0) await this.#wait(subject, signal);
    else this.#inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inside--;
      this.#admit();
    };
  }

  #wait(subject: string, signal: AbortSignal): Promise<void> {
    if (this.#queue.size >= this.#options.maxQueue) {
      // Whoever fills the queue makes room in it for the others.
      const displaced = this.#queue.displaceFor(subject);
      if (displaced === undefined) throw this.#overloaded();
      displaced.refuse(this.#overloaded());
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { subject, enter: resolve, refuse: reject };
    const loading = !this.#open;
    const cancel = this.#options.after(loading ? this.#options.maxClosedWaitMs : this.#options.maxWaitMs, () => {
      if (this.#queue.remove(subject, waiter)) reject(this.#open ? this.#overloaded() : modelLoading());
    });
    const abort = () => {
      if (this.#queue.remove(subject, waiter)) reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#queue.push(subject, waiter);
    return promise.finally(() => {
      cancel();
      signal.removeEventListener('abort', abort);
    });
  }

  #admit(): void {
    while (this.#open && this.#inside < this.#options.slots) {
      const waiter = this.#queue.shift();
      if (waiter === undefined) return;
      this.#inside++;
      waiter.enter();
    }
  }

  #overloaded(): Problem {
    // The longer the queue in relation to the slots, the later a retry makes sense.
    const retryAfter = Math.min(30, 1 + Math.floor(this.#queue.size / this.#options.slots));
    return new Problem('overloaded', { message: 'The model is busy. Try again later.', retryAfter });
  }
}

const modelLoading = (): Problem =>
  new Problem('model_loading', { message: 'The model is still loading. Try again later.', retryAfter: 5 });
