export type CircuitState = 'closed' | 'open' | 'half_open';

/**
 * What went wrong with a server. `unreachable`: whoever asked, it would have been the same. `answered`: it took the
 * question, and the question may be to blame.
 */
export type Fault = 'unreachable' | 'answered';

export interface CircuitRules {
  /** So many failures in a row open it. */
  readonly failures: number;
  /** So long nobody is sent there; then one, on trial. Milliseconds. */
  readonly openMs: number;
}

/**
 * A circuit breaker in front of one server.
 *
 * - Of `answered` failures in a row those of one subject count once: nobody takes a server from the others with
 *   questions that it can't answer.
 * - A server that could not be reached is back as soon as a probe reaches it; one that gave no good answers has to give one.
 */
export class Circuit {
  readonly #rules: CircuitRules;
  readonly #now: () => number;
  readonly #changed: () => void;
  #failures = 0;
  #lastSubject: string | null = null;
  /** Why it is open, or would be. */
  #fault: Fault = 'unreachable';
  /** Null while it is closed. */
  #openUntil: number | null = null;
  #onTrial = false;

  /** `now`: monotonic milliseconds. `changed` is called when it opens from closed and when it closes. */
  constructor(rules: CircuitRules, now: () => number, changed: () => void) {
    this.#rules = rules;
    this.#now = now;
    this.#changed = changed;
  }

  get state(): CircuitState {
    if (this.#openUntil === null) return 'closed';
    return this.#now() < this.#openUntil ? 'open' : 'half_open';
  }

  /** Whether a question may go there now. */
  get admits(): boolean {
    return this.#openUntil === null || (!this.#onTrial && this.#now() >= this.#openUntil);
  }

  /** How long until one may, in milliseconds; 0 where one may now or a trial is under way. */
  get waitMs(): number {
    return this.#openUntil === null ? 0 : Math.max(0, this.#openUntil - this.#now());
  }

  /** A question is sent. Returns whether it is the trial: then what becomes of it must be told. */
  begin(): boolean {
    if (this.#openUntil === null) return false;
    this.#onTrial = true;
    return true;
  }

  /** An answer has begun: a trial is passed. */
  answering(): void {
    if (this.#openUntil !== null) this.#close();
  }

  /** An answer is complete. */
  succeeded(): void {
    this.#failures = 0;
    this.#lastSubject = null;
    this.answering();
  }

  /** Nothing was learnt, say because the caller hung up. */
  abandoned(wasTrial: boolean): void {
    if (wasTrial) this.#onTrial = false;
  }

  /** `subject`: whose question it was; null where it was nobody's. */
  failed(fault: Fault, subject: string | null): void {
    this.#fault = fault;
    if (this.#openUntil !== null) {
      this.#open();
      return;
    }
    if (fault === 'answered' && subject !== null && subject === this.#lastSubject) return;
    this.#lastSubject = subject;
    this.#failures++;
    if (this.#failures >= this.#rules.failures) this.#open();
  }

  /** What a look at the server showed that asked it nothing. `first`: nothing is known of it yet. */
  probed(isUp: boolean, first: boolean): void {
    if (!isUp) {
      if (first) this.#failures = this.#rules.failures;
      this.failed('unreachable', null);
    } else if (this.#fault === 'unreachable') {
      this.#failures = 0;
      if (this.#openUntil !== null) this.#close();
    }
  }

  #open(): void {
    const wasClosed = this.#openUntil === null;
    this.#openUntil = this.#now() + this.#rules.openMs;
    this.#onTrial = false;
    if (wasClosed) this.#changed();
  }

  #close(): void {
    this.#openUntil = null;
    this.#onTrial = false;
    this.#failures = 0;
    this.#lastSubject = null;
    this.#changed();
  }
}
