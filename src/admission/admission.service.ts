import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type AdmitItem, CommitFailure, type Item, type Verdict } from './admission.ts';
import { AdmissionQueue, type QueueLimits, type Waiting } from './queue.ts';

/** Commits one batch and answers item by item, in order. MUST throw {@link CommitFailure} and nothing else. */
export type CommitBatch = (items: readonly Item[]) => Promise<readonly Verdict[]>;

export interface LedgerDeps {
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly log: Log;
  /** The item that takes back an admission whose fate is unknown: settled as `not_run` if it did commit. */
  readonly voidOf: (item: AdmitItem) => Item;
  readonly limits?: QueueLimits;
}

export interface LedgerState {
  readonly available: boolean;
  readonly waiting: number;
  readonly unsettled: number;
  readonly batches: number;
  readonly committed: number;
}

/** How long the log counts as down after a failure; one batch then tries again. */
const RETRY_MS = 500;

/**
 * The way into the log for one gateway: one batch in flight, the next one fills meanwhile, no timers on the way.
 * When the log can't be written nothing is admitted; settlements are kept and tried again until they are in.
 */
export class Ledger implements AsyncDisposable {
  readonly #deps: LedgerDeps;
  readonly #queue: AdmissionQueue;
  #running: Promise<void> | null = null;
  #downUntil = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #closed = false;
  #batches = 0;
  #committed = 0;

  constructor(deps: LedgerDeps) {
    this.#deps = deps;
    this.#queue = new AdmissionQueue(deps.limits);
  }

  state(): LedgerState {
    return {
      available: this.#downUntil === 0,
      waiting: this.#queue.size,
      unsettled: this.#queue.settlements,
      batches: this.#batches,
      committed: this.#committed,
    };
  }

  /**
   * Commits one item with the next batch.
   *
   * @throws Problem `audit_unavailable` when it could not be committed (a settlement is kept and will be),
   *   `overloaded` when too many wait, `internal` when the item itself is one that Postgres refuses.
   */
  submit(item: Item): Promise<Verdict> {
    if (!isKept(item) && (this.#closed || this.#isDown())) return Promise.reject(unavailable());
    const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
    if (!this.#queue.push({ item, resolve, reject }))
      return Promise.reject(new Problem('overloaded', { retryAfter: 1 }));
    this.#kick();
    return promise;
  }

  #isDown(): boolean {
    return this.#downUntil > this.#deps.clock.monotonic();
  }

  #kick(): void {
    if (this.#running || this.#isDown()) return;
    this.#running = this.#drain();
  }

  async #drain(): Promise<void> {
    // The turn that woke us may have more to say: what arrived in one read of the sockets goes in one batch.
    await new Promise(setImmediate);
    try {
      for (let batch = this.#queue.take(); batch.length > 0; batch = this.#queue.take()) {
        await this.#commit(batch);
        if (this.#isDown()) return;
      }
    } finally {
      // In the turn that found the queue empty: whoever submits after it must find nobody running, or he waits for ever.
      this.#running = null;
    }
  }

  /** `lost` is the failure of an earlier try of this batch that may still commit. */
  async #commit(batch: readonly Waiting[], lost: CommitFailure | null = null): Promise<void> {
    try {
      const verdicts = await this.#deps.commit(batch.map((waiting) => waiting.item));
      this.#downUntil = 0;
      this.#batches++;
      this.#committed += batch.length;
      batch.forEach((waiting, index) => {
        const verdict = verdicts[index];
        if (verdict) waiting.resolve(verdict);
        else waiting.reject(new Problem('internal'));
      });
    } catch (thrown) {
      const failure = thrown instanceof CommitFailure ? thrown : new CommitFailure('unknown', null, thrown);
      if (failure.poisoned) await this.#halve(batch, failure, lost);
      // Ids make it safe: what did commit answers `duplicate` the second time.
      else if (lost === null && failure.fate === 'unknown') await this.#commit(batch, failure);
      // However clearly the second try failed, the first one may still be on its way.
      else this.#fail(batch, lost ?? failure);
    }
  }

  /** Somebody's data broke the batch: halve it until the culprit stands alone; only it fails. */
  async #halve(batch: readonly Waiting[], failure: CommitFailure, lost: CommitFailure | null): Promise<void> {
    const [only] = batch;
    if (batch.length === 1 && only) {
      this.#deps.log.error('a record was refused by the database', { code: failure.sqlstate ?? '', error: failure });
      only.reject(new Problem('internal', {}, failure));
      return;
    }
    const middle = batch.length >> 1;
    await this.#commit(batch.slice(0, middle), lost);
    await this.#commit(batch.slice(middle), lost);
  }

  #fail(batch: readonly Waiting[], failure: CommitFailure): void {
    this.#deps.log.error('the audit log cannot be written', { count: batch.length, error: failure });
    for (const waiting of batch) this.#failOne(waiting, failure);
    for (const waiting of this.#queue.drainRefusable()) waiting.reject(unavailable(failure));
    this.#downUntil = this.#deps.clock.monotonic() + RETRY_MS;
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      if (this.#queue.size > 0) this.#kick();
    }, RETRY_MS + 1);
  }

  #failOne({ item, reject }: Waiting, failure: CommitFailure): void {
    reject(unavailable(failure));
    const again = item.op === 'admit' ? failure.fate === 'unknown' && this.#deps.voidOf(item) : isKept(item) && item;
    if (again) this.#queue.push({ item: again, resolve: () => {}, reject: () => {} });
  }

  /** Waits until nothing is in flight or waiting, as long as the log can be written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#kick();
    while (this.#running) await this.#running;
    if (this.#retryTimer) clearTimeout(this.#retryTimer);
    if (this.#queue.settlements > 0) {
      this.#deps.log.warn('outcomes could not be recorded; another gateway will close them', {
        count: this.#queue.settlements,
      });
    }
  }
}

const isKept = (item: Item): boolean => item.op === 'settle' || item.op === 'close' || item.op === 'void';
const unavailable = (cause?: unknown): Problem => new Problem('audit_unavailable', { retryAfter: 1 }, cause);
