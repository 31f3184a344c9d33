import type { Item, Verdict } from '#admission/admission.ts';
import type { Clock } from '#kernel/clock.ts';
import { newEventId } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { ANONYMOUS, type AuditEvent, recordAndRefusal, recordText, SYSTEM } from './event.ts';
import type { Recorder } from './recorder.ts';
import { networkOf, RefusalBudget, type RefusalKey } from './refusal-budget.ts';

export interface RecorderDeps {
  readonly submit: (item: Item) => Promise<Verdict>;
  readonly clock: Clock;
  readonly log: Log;
}

const SUMMARY_MS = 60_000;

/** Turns events into items for the ledger, and keeps refusals from flooding the log. */
export class AuditRecorder implements Recorder, AsyncDisposable {
  readonly #deps: RecorderDeps;
  readonly #timer: NodeJS.Timeout;
  readonly budget = new RefusalBudget();

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.flush(), SUMMARY_MS);
    this.#timer.unref();
  }

  change(name: string, change: Readonly<Record<string, unknown>>, event: AuditEvent): Promise<Verdict> {
    return this.#deps.submit({ op: 'change', id: newEventId(), ...recordAndRefusal(event, 'denied'), name, change });
  }

  async record(event: AuditEvent): Promise<void> {
    await this.#deps.submit({ op: 'record', id: newEventId(), record: recordText(event), refusal: null });
  }

  refuse(event: AuditEvent, key: RefusalKey): void {
    if (!this.budget.open(key)) {
      this.budget.count(key, this.#deps.clock.now());
      return;
    }
    this.budget.spend(key);
    this.record(event).catch(() => this.budget.count(key, this.#deps.clock.now()));
  }

  /** What failed before a credential was recognised: counted for the minute's summary, never recorded singly. */
  stray(code: string, address: string): void {
    this.budget.count({ code, source: networkOf(address), subject: ANONYMOUS }, this.#deps.clock.now());
  }

  /** Writes the minute's summaries. What can't be written now counts on into the next minute. */
  async flush(): Promise<void> {
    for (const summary of this.budget.flush()) {
      const { key, count, first, last, subjects } = summary;
      const event: AuditEvent = {
        kind: 'refusals',
        actor: key.subject === 'others' ? SYSTEM : key.subject,
        action: 'refuse',
        resource: `network:${key.source}`,
        outcome: 'denied',
        outcome_code: key.code,
        request: null,
        facts: { count, first: new Date(first).toISOString(), last: new Date(last).toISOString(), subjects },
      };
      try {
        await this.record(event);
      } catch (error) {
        this.budget.restore(summary);
        this.#deps.log.warn('a summary of refusals could not be recorded yet', { count, code: key.code, error });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
