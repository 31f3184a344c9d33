import type { Clock } from '#kernel/clock.ts';
import { Problem } from '#kernel/problem.ts';
import { Roster } from '#kernel/roster.ts';
import type { Standing } from './admission.ts';

export type StandingVerdict = 'valid' | 'revoked' | 'stale';

export interface StandingDeps {
  /** Judges many at once, in order, by one read. */
  readonly checkAll: (standings: readonly Standing[]) => Promise<readonly StandingVerdict[]>;
  readonly clock: Clock;
}

interface Waiting {
  readonly standing: Standing;
  readonly resolve: (verdict: StandingVerdict) => void;
  readonly reject: (reason: unknown) => void;
}

interface Watched {
  readonly standing: Standing;
  readonly end: (reason: unknown) => void;
  /** Says whether it was still watched. */
  stop: () => boolean;
}

/** How often running answers are checked, and how long they may go on when that is not possible. */
const WATCH_MS = 500;
const UNCHECKED_MS = 5_000;

/**
 * Whether sessions still hold, outside an admission: for routes that record nothing (the requests that wait at one moment
 * share one read) and for answers that are under way.
 */
export class Standings implements Disposable {
  readonly #deps: StandingDeps;
  readonly #waiting: Waiting[] = [];
  readonly #watched = new Roster<Watched>();
  readonly #timer: NodeJS.Timeout;
  #running = false;
  #checking = false;
  #checkedAt: number;

  constructor(deps: StandingDeps) {
    this.#deps = deps;
    this.#checkedAt = deps.clock.monotonic();
    this.#timer = setInterval(() => void this.#checkWatched(), WATCH_MS);
    this.#timer.unref();
  }

  /** @throws Problem `audit_unavailable` when the store does not answer: then nobody is let in. */
  check(standing: Standing): Promise<StandingVerdict> {
    const { promise, resolve, reject } = Promise.withResolvers<StandingVerdict>();
    this.#waiting.push({ standing, resolve, reject });
    if (!this.#running) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#running = true;
    await new Promise(setImmediate);
    for (let batch = this.#waiting.splice(0, 256); batch.length > 0; batch = this.#waiting.splice(0, 256)) {
      try {
        const verdicts = await this.#deps.checkAll(batch.map(({ standing }) => standing));
        for (const [index, { resolve }] of batch.entries()) resolve(verdicts[index] ?? 'revoked');
      } catch (cause) {
        for (const { reject } of batch) reject(new Problem('audit_unavailable', { retryAfter: 1 }, cause));
      }
    }
    this.#running = false;
  }

  /** Calls `end` within a second when the session or what was decided no longer holds. Returns how to stop watching. */
  watch(standing: Standing, end: (reason: unknown) => void): () => void {
    if (this.#watched.size === 0) this.#checkedAt = this.#deps.clock.monotonic();
    const watched: Watched = { standing, end, stop: () => false };
    watched.stop = this.#watched.add(watched);
    return watched.stop;
  }

  async #checkWatched(): Promise<void> {
    if (this.#checking || this.#watched.size === 0) return;
    this.#checking = true;
    const watched = this.#watched.members();
    const overdue = setTimeout(() => this.#endAll(), UNCHECKED_MS);
    try {
      const verdicts = await this.#deps.checkAll(watched.map(({ standing }) => standing));
      this.#checkedAt = this.#deps.clock.monotonic();
      watched.forEach(({ stop, end }, index) => {
        if (verdicts[index] !== 'valid' && stop()) end(new Problem('session_ended'));
      });
    } catch {
      if (this.#deps.clock.monotonic() - this.#checkedAt >= UNCHECKED_MS) this.#endAll();
    } finally {
      clearTimeout(overdue);
      this.#checking = false;
    }
  }

  #endAll(): void {
    for (const { stop, end } of this.#watched.members()) {
      if (stop()) end(new Problem('audit_unavailable', { retryAfter: 1 }));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
