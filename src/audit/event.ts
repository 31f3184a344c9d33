import { MAX_EVENT_BYTES, type RecordText, type RefusalText } from '#admission/admission.ts';
import { type CanonicalValue, canonicalJson, forEachMember } from '#kernel/canonical-json.ts';

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

/** Stands for the code while a refusal's length is checked. */
const CODE_SLOT = '{code}';

/** The columns and canonical bytes of an event. @throws TypeError for text that Postgres can't store, or too long. */
export function recordText(event: AuditEvent): RecordText {
  const { kind, actor, action, resource, outcome, request } = event;
  return { kind, actor, action, resource, outcome, request, event: eventBytes(event) };
}

/** The same event as a refusal whose code the database fills in. */
export function refusalText(event: AuditEvent, outcome: string, kind: EventKind = event.kind): RefusalText {
  return recordAndRefusal(event, outcome, kind).refusal;
}

/** {@link recordText} and {@link refusalText} of one event: most members are the same, so they are spelled once. */
export function recordAndRefusal(
  event: AuditEvent,
  refusedOutcome: string,
  refusedKind: EventKind = event.kind,
): { readonly record: RecordText; readonly refusal: RefusalText } {
  const { facts, ...columns } = event;
  const { kind, actor, action, resource, outcome, request, outcome_code: code } = columns;
  // What both share stands before, between and behind the three members in which they differ.
  const shared: [string, string, string, string] = ['', '', '', ''];
  let place: 0 | 1 | 2 | 3 = 0;
  forEachMember({ ...facts, ...columns, outcome_code: code ?? '' }, (name, text) => {
    if (name === 'kind') place = 1;
    else if (name === 'outcome') place = 2;
    else if (name === 'outcome_code') place = 3;
    else shared[place] += `,${text}`;
  });
  const [first, second, third, last] = shared;
  const beforeKind = `{${first.slice(1)},"kind":"`;
  const beforeOutcome = `"${second},"outcome":"`;
  const own = code === undefined ? '' : `,"outcome_code":${canonicalJson(code)}`;
  const recorded = `${beforeKind}${plain(kind)}${beforeOutcome}${plain(outcome)}"${third}${own}${last}}`;
  refuseTooLong(recorded);
  refuseTooLong(recorded, refusedKind, refusedOutcome, CODE_SLOT);
  const kindAt = lengthOf(beforeKind);
  const outcomeAt = kindAt + kind.length + lengthOf(beforeOutcome);
  const codeAt = outcomeAt + outcome.length + 1 + lengthOf(third);
  return {
    record: { kind, actor, action, resource, outcome, request, event: recorded },
    refusal: {
      kind: refusedKind,
      outcome: refusedOutcome,
      places: [kindAt, outcomeAt, codeAt, codeAt + lengthOf(own)],
    },
  };
}

/** What stands between quotes as it is, so that another such word can take its place. */
function plain(word: string): string {
  if (!/^[\w.-]+$/.test(word)) throw new TypeError('kind and outcome are plain words');
  return word;
}

/** As Postgres counts: a character outside the basic plane is one. */
const lengthOf = (text: string): number => text.length - (text.match(/[\ud800-\udbff]/g)?.length ?? 0);

function eventBytes({ facts, ...columns }: AuditEvent): string {
  const bytes = canonicalJson({ ...facts, ...columns });
  refuseTooLong(bytes);
  return bytes;
}

/** A UTF-16 unit is three bytes at most, so that most are known to fit without being counted. */
function refuseTooLong(...parts: readonly string[]): void {
  const units = parts.reduce((sum, part) => sum + part.length, 0);
  if (units * 3 > MAX_EVENT_BYTES && parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0) > MAX_EVENT_BYTES) {
    throw new TypeError(`an audit event holds at most ${MAX_EVENT_BYTES} bytes`);
  }
}
