import type { Log } from '#kernel/log.ts';
import type { OtherReplica, ReplicaStore } from './replica.ts';

export interface ReplicasDeps<Report> {
  readonly store: ReplicaStore<Report>;
  /** What this gateway runs at this moment. */
  readonly report: () => Report;
  readonly log: Log;
}

/** What an admin sets is followed within a second, and what came of it is told within another. */
const EXCHANGE_MS = 1_000;
/** Every so many times all of it is told again: a database that crashed in between has forgotten it. */
const WHOLE_AGAIN = 10;
/** After so many tries in vain every lease that was heard of has run out. */
const FORGOTTEN_AFTER = 10;

/** The gateways of one database, each with what it says of its models. */
export class Replicas<Report> implements AsyncDisposable {
  readonly #deps: ReplicasDeps<Report>;
  readonly #timer: NodeJS.Timeout;
  #others: readonly OtherReplica<Report>[] = [];
  #told = '';
  #unchanged = 0;
  #exchanging: Promise<void> | null = null;
  #failures = 0;

  constructor(deps: ReplicasDeps<Report>) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.exchange(), EXCHANGE_MS);
    this.#timer.unref();
    void this.exchange();
  }

  /** Those beside this one, as they were heard last. */
  get others(): readonly OtherReplica<Report>[] {
    return this.#others;
  }

  /** Not all offer the same models: where a request lands decides what it finds. */
  get differ(): boolean {
    return this.#others.some(({ isSameCatalogue }) => !isSameCatalogue);
  }

  /** Tells and hears once. Never rejects. */
  exchange(): Promise<void> {
    this.#exchanging ??= this.#exchange().finally(() => {
      this.#exchanging = null;
    });
    return this.#exchanging;
  }

  async #exchange(): Promise<void> {
    const { store, report, log } = this.#deps;
    const before = this.differ;
    try {
      const own = report();
      const text = JSON.stringify(own);
      this.#unchanged = text === this.#told ? (this.#unchanged + 1) % WHOLE_AGAIN : 0;
      this.#others = await store.exchange(this.#unchanged > 0 ? null : own);
      this.#told = text;
      this.#failures = 0;
    } catch (error) {
      this.#told = '';
      this.#failures++;
      if (this.#failures === 1) log.warn('what other gateways run can not be read', { error });
      if (this.#failures >= FORGOTTEN_AFTER) this.#others = [];
    }
    if (this.differ && !before)
      log.warn('another gateway on this database offers other models, or the same ones otherwise', {
        instance: this.#others.find(({ isSameCatalogue }) => !isSameCatalogue)?.instance ?? '',
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#exchanging;
    await this.#deps.store
      .withdraw()
      .catch((error: unknown) => this.#deps.log.debug('report not withdrawn', { error }));
  }
}
