import type { Verdict } from '#admission/admission.ts';
import type { AuditEvent } from './event.ts';
import type { RefusalKey } from './refusal-budget.ts';

/**
 * How features put things on the record. Everything that changes something goes through `change`: the change and its
 * record are one transaction, so neither exists without the other.
 */
export interface Recorder {
  /**
   * Makes a recorded change; `name` and `change` are those of `apply_change` in migrations/. Resolves with `changed`,
   * or `refused` and its code (then `event` is recorded with outcome `denied` and that code).
   *
   * @throws Problem `audit_unavailable`: nothing has changed as far as anyone may rely on.
   */
  change(name: string, change: Readonly<Record<string, unknown>>, event: AuditEvent): Promise<Verdict>;
  /** Records something that has happened. @throws Problem `audit_unavailable` */
  record(event: AuditEvent): Promise<void>;
  /** Records a refusal, singly while its budget lasts, else in the minute's summary. Never waits, never throws. */
  refuse(event: AuditEvent, key: RefusalKey): void;
  /** What failed before a credential was recognised: counted for the minute's summary, never recorded singly. */
  stray(code: string, address: string): void;
}
