import { recordText, SYSTEM } from '#audit/event.ts';
import { newEventId } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import type { Item, Verdict } from './admission.ts';

/** An intent that nobody will settle any more. */
export interface OrphanedIntent {
  readonly eventId: string;
  readonly requestId: string;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  /** Reserved, and charged in full. */
  readonly tokens: number;
}

export interface LeaseDeps {
  readonly renew: () => Promise<void>;
  readonly orphans: () => Promise<readonly OrphanedIntent[]>;
  readonly keepHouse: () => Promise<void>;
  readonly submit: (item: Item) => Promise<Verdict>;
  readonly log: Log;
  /** Milliseconds that never run backwards. */
  readonly monotonic: () => number;
}

/** As long as the database keeps a lease. */
const LEASE_MS = 10_000;
const RENEW_MS = 3_000;
const SWEEP_MS = 5_000;
const HOUSE_MS = 60_000;

/**
 * Keeps this gateway's lease while it lives, and closes what gateways left behind that do not: outcome `unknown`,
 * charged in full, because nobody can tell what was computed.
 */
export class Lease implements Disposable {
  readonly #deps: LeaseDeps;
  readonly #timers: NodeJS.Timeout[];
  readonly #busy = new Set<string>();
  #renewedAt: number;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
    this.#renewedAt = deps.monotonic();
    this.#timers = [
      setInterval(() => void this.#once('renew', () => this.renew()), RENEW_MS),
      setInterval(() => void this.#once('sweep', () => this.sweep()), SWEEP_MS),
      setInterval(() => void this.#once('house', deps.keepHouse), HOUSE_MS),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  /** Whether the database has answered a renewal within the time of a lease. Says so also of an idle gateway. */
  get isHeld(): boolean {
    return this.#deps.monotonic() - this.#renewedAt < LEASE_MS;
  }

  async renew(): Promise<void> {
    const asked = this.#deps.monotonic();
    await this.#deps.renew();
    this.#renewedAt = asked;
  }

  async #once(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    try {
      await work();
    } catch (error) {
      this.#deps.log.warn('upkeep failed and is tried again', { state: name, error });
    } finally {
      this.#busy.delete(name);
    }
  }

  /** Closes the intents of gateways whose lease has run out. */
  async sweep(): Promise<void> {
    const orphans = await this.#deps.orphans();
    const verdicts = await Promise.all(orphans.map((orphan) => this.#deps.submit(closeOf(orphan))));
    const closed = verdicts.filter(({ verdict }) => verdict === 'settled').length;
    if (closed > 0) this.#deps.log.warn('closed intents of a gateway that is gone', { count: closed });
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}

const closeOf = ({ eventId, requestId, actor, action, resource, tokens }: OrphanedIntent): Item => ({
  op: 'close',
  id: newEventId(),
  record: recordText({
    kind: 'outcome',
    actor,
    action,
    resource,
    outcome: 'unknown',
    request: requestId,
    facts: { intent: eventId, closed_by: SYSTEM, quota_tokens: tokens },
  }),
  refusal: null,
  intent: eventId,
  used: tokens,
  ran: true,
  opening: null,
});
