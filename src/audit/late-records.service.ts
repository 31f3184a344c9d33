import type { Item, Verdict } from '#admission/admission.ts';
import type { Clock } from '#kernel/clock.ts';
import { newEventId } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type AuditEvent, recordText } from './event.ts';

export interface LateRecordsDeps {
  readonly submit: (item: Item) => Promise<Verdict>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Kept {
  /** The same at every try: what did get in is not recorded twice. */
  readonly id: string;
  readonly event: AuditEvent;
  /** When it happened, by this machine's clock. */
  readonly at: number;
}

const AGAIN_MS = 1_000;
/** More than what happens by itself in a day without the log. */
const MOST_KEPT = 10_000;

/**
 * Puts on the record what nobody waits for and nobody could have refused: that a model came, went or crashed. What can't
 * be written at its moment is kept, in its order, and written when the log is there again, with the time it happened.
 */
export class LateRecords implements AsyncDisposable {
  readonly #deps: LateRecordsDeps;
  readonly #timer: NodeJS.Timeout;
  readonly #kept: Kept[] = [];
  /** Of those that are kept, so many from the first on missed their moment. */
  #late = 0;
  #writing: Promise<void> | null = null;

  constructor(deps: LateRecordsDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.write(), AGAIN_MS);
    this.#timer.unref();
  }

  /** Never waits, never throws. */
  readonly tell = (event: AuditEvent): void => {
    if (this.#kept.length >= MOST_KEPT) {
      this.#lose(event, 'too many wait for the log');
      return;
    }
    this.#kept.push({ id: newEventId(), event, at: this.#deps.clock.now() });
    // Behind those that could not be written it would fail as they did.
    if (this.#late > 0) this.#late++;
    else void this.write();
  };

  /** Writes what is kept, as far as the log takes it. Never rejects. */
  write(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    for (let [first] = this.#kept; first !== undefined; [first] = this.#kept) {
      try {
        await this.#deps.submit(this.#itemOf(first));
      } catch (error) {
        // Only what the database itself will never take is given up.
        if (Problem.from(error).code !== 'internal') {
          if (this.#late === 0) this.#deps.log.warn('not recorded yet', { state: first.event.action, error });
          this.#late = this.#kept.length;
          return;
        }
        this.#lose(first.event, error);
      }
      this.#kept.shift();
      this.#late = Math.max(0, this.#late - 1);
    }
  }

  #itemOf({ id, event, at }: Kept): Item {
    const { facts } = event;
    const told = this.#late === 0 ? event : { ...event, facts: { ...facts, happened_at: new Date(at).toISOString() } };
    return { op: 'record', id, record: recordText(told), refusal: null };
  }

  #lose({ action, resource }: AuditEvent, error: unknown): void {
    this.#deps.log.error('never recorded', { state: action, model: resource, error });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.write();
    for (const { event } of this.#kept.splice(0)) this.#lose(event, 'the gateway ends');
  }
}
