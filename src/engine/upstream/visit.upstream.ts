import { Problem } from '#kernel/problem.ts';
import { Stop } from './answer.upstream.ts';
import type { Exchange } from './replica.upstream.ts';

/** One question from its place in the queue to whatever ends it; then nothing of it is left, here or on a server. */
export class Visit {
  readonly stop = new Stop();
  readonly queuedMs: number;
  exchange: Exchange | null = null;
  /** Takes it off its service's list. */
  depart: () => boolean = () => false;
  readonly #signal: AbortSignal;
  readonly #leave: () => void;
  readonly #onAbort: () => void;
  #isOver = false;

  /** `leave` gives its place back; twice does no harm. */
  constructor(signal: AbortSignal, queuedMs: number, leave: () => void) {
    this.#signal = signal;
    this.queuedMs = queuedMs;
    this.#leave = leave;
    this.#onAbort = () => {
      // At once, not when the reader comes back: he may be waiting for his own client.
      leave();
      this.stop.now(signal.reason);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** All has come that belongs to its answer. */
  complete(): void {
    this.exchange?.answer.leave();
    this.exchange?.complete();
    this.#isOver = true;
  }

  /** Its caller hung up. */
  get isAborted(): boolean {
    return this.#signal.aborted;
  }

  get reason(): unknown {
    return this.#signal.reason;
  }

  /** A refusal, of the server or of ours, says nothing against it; anything else is an answer that was none. */
  failed(error: unknown): void {
    if (!(error instanceof Problem)) this.exchange?.failed('answered');
  }

  /** Whatever the reason for leaving, an answer that still runs is ended on the server too; only then is there a reason. */
  end(reasonOf: () => Problem): void {
    this.exchange?.abandoned();
    if (!this.#isOver) this.stop.now(reasonOf());
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#leave();
  }
}
