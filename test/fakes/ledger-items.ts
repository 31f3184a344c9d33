import { randomUUIDv7 } from 'node:crypto';
import type {
  AdmitItem,
  ChangeItem,
  Counter,
  ExtendItem,
  RecordItem,
  RecordText,
  SettleItem,
  Take,
} from '#admission/admission.ts';
import { type AuditEvent, recordText, refusalText } from '#audit/event.ts';

/** Whom an item is about: one of the estate's analysts. */
export interface Who {
  readonly account: string;
  readonly session: string;
}

/** A user's own counter, as an analyst. */
export const userCounter = (who: Who, roles: readonly string[] = ['role:analyst']): Counter => ({
  subject: `user:${who.account}`,
  roles,
});

export function intentEvent(who: Who, request: string, facts: AuditEvent['facts'] = {}): AuditEvent {
  return {
    kind: 'intent',
    actor: who.account,
    action: 'infer',
    resource: 'model:demo',
    outcome: 'admitted',
    request,
    facts: { route: 'chat', ...facts },
  };
}

/** One request and so many tokens, all of them or none. */
export const takeOf = (who: Who, tokens: number, ...shared: readonly string[]): Take => ({
  counters: [userCounter(who), ...shared.map((subject) => ({ subject, roles: null }))],
  tokens,
  least: tokens,
});

/** The bytes that the database makes where it refuses, spelled here in another way: by characters. */
export function refusedBytes({ record, refusal }: Pick<AdmitItem, 'record' | 'refusal'>, code: string): string {
  if (refusal === null) throw new Error('nothing would be recorded');
  const [kind, outcome, from, rest] = refusal.places;
  const characters = [...record.event];
  characters.splice(from, rest - from, `,"outcome_code":"${code}"`);
  characters.splice(outcome, record.outcome.length, refusal.outcome);
  characters.splice(kind, record.kind.length, refusal.kind);
  return characters.join('');
}

export interface AdmitOptions {
  readonly id?: string;
  readonly epoch?: number;
  readonly policy?: number;
  readonly tokens?: number;
  readonly take?: Take;
  readonly open?: boolean;
  readonly proof?: AdmitItem['proof'];
  readonly request?: string;
  readonly refusal?: boolean;
  readonly facts?: AuditEvent['facts'];
  readonly credential?: AdmitItem['standing']['credential'];
  /** Laid over the record's columns, past the application's own checks. */
  readonly record?: Partial<RecordText>;
}

export function admit(who: Who, options: AdmitOptions = {}): AdmitItem {
  const event = intentEvent(who, options.request ?? `req_${randomUUIDv7()}`, options.facts);
  return {
    op: 'admit',
    id: options.id ?? randomUUIDv7(),
    record: { ...recordText(event), ...options.record },
    refusal: options.refusal === false ? null : refusalText(event, 'denied', 'denial'),
    standing: {
      credential: options.credential ?? { kind: 'session', ref: who.session },
      epoch: options.epoch ?? 1,
      policyVersion: options.policy ?? 1,
    },
    take: options.take ?? takeOf(who, options.tokens ?? 10),
    open: options.open ?? true,
    proof: options.proof ?? null,
  };
}

export function settle(
  intent: AdmitItem,
  used: SettleItem['used'] = null,
  options: { ran?: boolean; op?: SettleItem['op']; id?: string; outcome?: string; opening?: string } = {},
): SettleItem {
  const { actor, action, resource, request } = intent.record;
  const outcome = options.outcome ?? 'completed';
  const event: AuditEvent = {
    kind: 'outcome',
    actor,
    action,
    resource,
    outcome,
    request,
    facts: { intent: intent.id },
  };
  return {
    op: options.op ?? 'settle',
    id: options.id ?? randomUUIDv7(),
    record: recordText(event),
    refusal: options.op === undefined ? refusalText(event, 'late_outcome') : null,
    intent: intent.id,
    used,
    ran: options.ran ?? true,
    opening: options.opening ?? null,
  };
}

/** Asks for more tokens, or gives some back, for an intent whose counters are those of its admission. */
export const extend = (intent: AdmitItem, tokens: number, least = Math.min(tokens, 1)): ExtendItem => ({
  op: 'extend',
  id: randomUUIDv7(),
  intent: intent.id,
  take: { counters: intent.take?.counters ?? [], tokens, least },
});

export function note(action = 'note', facts: AuditEvent['facts'] = {}): RecordItem {
  const event: AuditEvent = {
    kind: 'system',
    actor: 'system',
    action,
    resource: 'gateway:test',
    outcome: 'completed',
    request: null,
    facts,
  };
  return { op: 'record', id: randomUUIDv7(), record: recordText(event), refusal: null };
}

export function change(name: string, change: Readonly<Record<string, unknown>>, actor = 'system'): ChangeItem {
  const event: AuditEvent = {
    kind: 'change',
    actor,
    action: name,
    resource: `test:${name}`,
    outcome: 'completed',
    request: null,
  };
  return {
    op: 'change',
    id: randomUUIDv7(),
    record: recordText(event),
    refusal: refusalText(event, 'denied'),
    name,
    change,
  };
}
