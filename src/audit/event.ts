import { MAX_EVENT_BYTES, type RecordText, type RefusalText } from '#admission/admission.ts';
import { type CanonicalValue, canonicalJson, canonicalMember, namesInOrder } from '#kernel/canonical-json.ts';

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

/** Of every event, in canonical order. */
const COLUMNS = ['action', 'actor', 'kind', 'outcome', 'outcome_code', 'request', 'resource'] as const;
const NO_FACTS: NonNullable<AuditEvent['facts']> = {};

/** {@link recordText} and {@link refusalText} of one event: most members are the same, so they are spelled once. */
export function recordAndRefusal(
  event: AuditEvent,
  refusedOutcome: string,
  refusedKind: EventKind = event.kind,
): { readonly record: RecordText; readonly refusal: RefusalText } {
  const { kind, actor, action, resource, outcome, request, facts = NO_FACTS } = event;
  const names = namesInOrder(facts);
  let text = '{';
  let at = 0;
  // Where the kind, the outcome and the code stand, in which the two differ; in UTF-16 units.
  let [kindAt, outcomeAt, codeAt, codeEnd] = [0, 0, 0, 0];
  for (const column of COLUMNS) {
    at = factsBefore(column);
    const separator = text === '{' ? '' : ',';
    if (column === 'kind' || column === 'outcome') {
      text += `${separator}"${column}":"`;
      if (column === 'kind') kindAt = text.length;
      else outcomeAt = text.length;
      text += `${plain(event[column])}"`;
    } else if (column === 'outcome_code') {
      codeAt = text.length;
      if (event.outcome_code !== undefined) text += separator + canonicalMember(column, event.outcome_code);
      codeEnd = text.length;
    } else text += separator + canonicalMember(column, event[column]);
  }
  at = factsBefore(null);
  text += '}';
  refuseTooLong(text);
  refuseTooLong(text, refusedKind, refusedOutcome, CODE_SLOT);
  plain(refusedKind);
  plain(refusedOutcome);
  return {
    record: { kind, actor, action, resource, outcome, request, event: text },
    refusal: {
      kind: refusedKind,
      outcome: refusedOutcome,
      places: charactersAt(text, [kindAt, outcomeAt, codeAt, codeEnd]),
    },
  };

  /** Writes the facts that come before a column, and leaves one out that has its name. */
  function factsBefore(column: string | null): number {
    let next = at;
    for (; next < names.length; next++) {
      const name = names[next] ?? '';
      if (column !== null && name >= column) return name === column ? next + 1 : next;
      const value = facts[name];
      if (value !== undefined) text += (text === '{' ? '' : ',') + canonicalMember(name, value);
    }
    return next;
  }
}

/** What stands between quotes as it is, so that another such word can take its place. */
function plain(word: string): string {
  if (!/^[\w.-]+$/.test(word)) throw new TypeError('kind and outcome are plain words');
  return word;
}

/** Places in characters as Postgres counts them: one outside the basic plane is one, and two UTF-16 units. */
function charactersAt(text: string, places: RefusalText['places']): RefusalText['places'] {
  if (!/[\ud800-\udbff]/.test(text)) return places;
  const pairsBefore = (place: number) => text.slice(0, place).match(/[\ud800-\udbff]/g)?.length ?? 0;
  const [kind, outcome, code, rest] = places;
  return [kind - pairsBefore(kind), outcome - pairsBefore(outcome), code - pairsBefore(code), rest - pairsBefore(rest)];
}

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
