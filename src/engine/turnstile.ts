import { Problem } from '#kernel/problem.ts';
import type { Priority } from './priority.ts';
import { WaitingLine } from './waiting-line.ts';

export interface TurnstileOptions {
  /** How many may be inside at once. */
  readonly slots: number;
  /** How many of one subject; absent: all of them. */
  readonly perSubject?: number | undefined;
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
  readonly priority: Priority;
  readonly enter: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** The queue in front of an engine's slots. Closed at first. */
export class Turnstile {
  readonly #options: TurnstileOptions;
  readonly #queue = new WaitingLine<Waiter>();
  #inside = 0;
  readonly #insideOf = new Map<string, number>();
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
  async enter(subject: string, signal: AbortSignal, priority: Priority = 'interactive'): Promise<() => void> {
    signal.throwIfAborted();
    // While there is room, those who wait are those who have their share of it.
    if (!this.#open || this.#inside >= this.#options.slots || !this.#mayEnter(subject))
      await this.#wait(subject, priority, signal);
    else this.#let(subject);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inside--;
      const others = (this.#insideOf.get(subject) ?? 1) - 1;
      if (others > 0) this.#insideOf.set(subject, others);
      else this.#insideOf.delete(subject);
      this.#admit();
    };
  }

  readonly #mayEnter = (subject: string): boolean =>
    (this.#insideOf.get(subject) ?? 0) < (this.#options.perSubject ?? this.#options.slots);

  #let(subject: string): void {
    this.#inside++;
    this.#insideOf.set(subject, (this.#insideOf.get(subject) ?? 0) + 1);
  }

  #wait(subject: string, priority: Priority, signal: AbortSignal): Promise<void> {
    if (this.#queue.size >= this.#options.maxQueue) {
      // Whoever fills the queue makes room in it for the others.
      const displaced = this.#queue.displaceFor(subject, priority);
      if (displaced === undefined) throw this.#overloaded();
      displaced.refuse(this.#overloaded());
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { subject, priority, enter: resolve, refuse: reject };
    const loading = !this.#open;
    const cancel = this.#options.after(loading ? this.#options.maxClosedWaitMs : this.#options.maxWaitMs, () => {
      if (this.#queue.remove(subject, priority, waiter)) reject(this.#open ? this.#overloaded() : modelLoading());
    });
    const abort = () => {
      if (this.#queue.remove(subject, priority, waiter)) reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#queue.push(subject, priority, waiter);
    return promise.finally(() => {
      cancel();
      signal.removeEventListener('abort', abort);
    });
  }

  #admit(): void {
    while (this.#open && this.#inside < this.#options.slots) {
      const waiter = this.#queue.shift(this.#mayEnter);
      if (waiter === undefined) return;
      this.#let(waiter.subject);
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
