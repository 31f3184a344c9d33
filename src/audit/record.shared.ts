/** The record as it is hashed: `{"at":"…Z","event":{…},"seq":N,"v":1}` in RFC 8785 form, made by `commit_batch`. */
import { type CanonicalValue, isCanonicalJson } from '#kernel/canonical-json.ts';

/** The columns beside the record that are copies of what stands in it. */
export interface RecordColumns {
  readonly seq: number;
  /** UTC with six decimals. */
  readonly at: string;
  readonly kind: string;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
  readonly request_id: string | null;
}

export interface LogRecord extends RecordColumns {
  readonly event: { readonly [name: string]: CanonicalValue | undefined };
}

/** Longest record that is looked at; the gateway's own hold 4 KB of event. */
const MAX_RECORD_CHARACTERS = 64 * 1024;
const AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;

/** A record, or in one sentence why the text is none. Takes anything. */
export function parseRecord(text: string): LogRecord | string {
  if (text.length > MAX_RECORD_CHARACTERS) return 'the record is too long';
  let whole: CanonicalValue;
  try {
    whole = JSON.parse(text) as CanonicalValue;
  } catch {
    return 'the record is not canonical JSON';
  }
  if (!isCanonicalJson(text, whole)) return 'the record is not canonical JSON';
  if (!isObject(whole) || Object.keys(whole).join() !== 'at,event,seq,v' || whole['v'] !== 1) {
    return 'the record does not have its form';
  }
  const { at, event, seq } = whole;
  if (typeof at !== 'string' || !AT.test(at) || typeof seq !== 'number' || seq < 0 || !isObject(event)) {
    return 'the record does not have its form';
  }
  const { kind, actor, action, resource, outcome, request } = event;
  if (!isText(kind) || !isText(actor) || !isText(action) || !isText(resource) || !isText(outcome)) {
    return 'the event of the record lacks a member';
  }
  if (request !== null && !isText(request)) return 'the event of the record lacks a member';
  return { seq, at, kind, actor, action, resource, outcome, request_id: request, event };
}

const isText = (value: CanonicalValue | undefined): value is string => typeof value === 'string';

const isObject = (
  value: CanonicalValue | undefined,
): value is { readonly [name: string]: CanonicalValue | undefined } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
