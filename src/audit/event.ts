import { MAX_EVENT_BYTES, type RecordText, type RefusalText } from '#admission/admission.ts';
import { type CanonicalValue, canonicalJson } from '#kernel/canonical-json.ts';

export type EventKind = 'intent' | 'outcome' | 'denial' | 'sign-in' | 'change' | 'system' | 'refusals';

/** Who is recorded when nobody is known yet, and when the gateway itself acts. */
export const ANONYMOUS = 'anonymous';
export const SYSTEM = 'system';

/**
 * One event before it becomes bytes. Never in it: a password, token, cookie, code, secret, or a prompt or answer in
 * clear; an unknown username only as an HMAC. `facts` must be canonical already (strings, safe integers, booleans).
 */
export interface AuditEvent {
  readonly kind: EventKind;
  /** Opaque id of the account, {@link ANONYMOUS} or {@link SYSTEM}. */
  readonly actor: string;
  readonly action: string;
  /** `type:id`. */
  readonly resource: string;
  readonly outcome: string;
  /** Why, where the outcome alone does not say it: a closed set of codes. */
  readonly outcome_code?: string;
  readonly request: string | null;
  readonly facts?: { readonly [name: string]: CanonicalValue | undefined };
}

/** Marks the place of the code in a refusal's bytes; no event of ours has it as a value. */
const CODE_SLOT = '{code}';

/** The columns and canonical bytes of an event. @throws TypeError for text that Postgres can't store, or too long. */
export function recordText(event: AuditEvent): RecordText {
  const { kind, actor, action, resource, outcome, request } = event;
  return { kind, actor, action, resource, outcome, request, event: eventBytes(event) };
}

/** The same event as a refusal whose code the database fills in. */
export function refusalText(event: AuditEvent, outcome: string, kind: EventKind = event.kind): RefusalText {
  const bytes = eventBytes({ ...event, kind, outcome, outcome_code: CODE_SLOT });
  const slot = `"outcome_code":"${CODE_SLOT}"`;
  const at = bytes.indexOf(slot) + slot.length - CODE_SLOT.length - 1;
  return { kind, outcome, event: [bytes.slice(0, at), bytes.slice(at + CODE_SLOT.length)] };
}

function eventBytes({ facts, ...columns }: AuditEvent): string {
  const bytes = canonicalJson({ ...facts, ...columns });
  if (bytes.length > MAX_EVENT_BYTES || Buffer.byteLength(bytes) > MAX_EVENT_BYTES) {
    throw new TypeError(`an audit event holds at most ${MAX_EVENT_BYTES} bytes`);
  }
  return bytes;
}
