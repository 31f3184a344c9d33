import { ROLES, type Role, STRENGTHS, type Strength } from '#kernel/principal.ts';
import { type AccessQuestion, type PolicyEngine, questionOf } from './access.ts';
import type { AccessContext } from './context-class.ts';

/** A record as far as a replay looks. */
export interface ReplayRecord {
  readonly seq: string;
  /** RFC 3339. */
  readonly at: string;
  readonly kind: string;
  readonly actor: string;
  readonly action: string;
  /** `type:id`. */
  readonly resource: string;
  readonly event: Readonly<Record<string, unknown>>;
}

/** A decision of the log that the draft would change. */
export interface ChangedDecision {
  readonly seq: string;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  readonly before: 'allow' | 'deny';
  readonly rule_before: string | null;
  readonly after: 'allow' | 'deny';
  readonly rule_after: string | null;
}

interface Recorded {
  readonly question: AccessQuestion;
  readonly context: AccessContext;
  readonly allowed: boolean;
  readonly rule: string | null;
}

/** Denials by what policy says; other refusals (quota, step-up) came after it had allowed. */
const BY_POLICY: readonly unknown[] = ['forbidden', 'model_not_found'];

/**
 * The decision that a record holds. Null for a record of something else, or of what no policy decides (a key's own scope,
 * a resource that does not exist); `unreadable` for one of an older release, which kept too little to ask again.
 */
function decisionOf(record: ReplayRecord): Recorded | null | 'unreadable' {
  const { event, kind } = record;
  if ((kind !== 'intent' && kind !== 'denial') || event['policy_version'] === undefined) return null;
  if (event['decided_by'] !== undefined) return null;
  const { roles, department, clearance, branch = '', certifications = [], strength, address, rule } = event as Facts;
  const { classification = 0, owner = '', restricted = false, expired = false } = event as Facts;
  const at = record.resource.indexOf(':');
  const known =
    Array.isArray(roles) &&
    typeof department === 'string' &&
    typeof clearance === 'number' &&
    typeof address === 'string' &&
    STRENGTHS.some((one) => one === strength) &&
    at > 0;
  if (!known) return 'unreadable';
  const attributes = { department, clearance, branch: String(branch), certifications: certifications as string[] };
  const asker = {
    subject: record.actor,
    roles: ROLES.filter((role) => (roles as Role[]).includes(role)),
    restricted: restricted === true,
    mustChangePassword: expired === true,
    strength: strength as Strength,
    attributes,
  };
  const resource = { type: record.resource.slice(0, at), id: record.resource.slice(at + 1) };
  const its = { classification: Number(classification), owner: String(owner) };
  return {
    question: questionOf(asker, record.action, resource, its),
    context: { at: Date.parse(record.at), address, strength: asker.strength },
    allowed: kind === 'intent' || !BY_POLICY.includes(event['outcome_code']),
    rule: typeof rule === 'string' ? rule : null,
  };
}

type Facts = Readonly<Record<string, unknown>>;

/** Counts over a replay, and the first decisions that differ. */
export class Replay {
  /** Decisions that were asked again. */
  decisions = 0;
  changed = 0;
  /** Of an older release: they kept too little of what was decided on. */
  unreadable = 0;
  readonly examples: ChangedDecision[] = [];
  readonly #draft: PolicyEngine;
  readonly #most: number;

  constructor(draft: PolicyEngine, most: number) {
    this.#draft = draft;
    this.#most = most;
  }

  take(record: ReplayRecord): void {
    const recorded = decisionOf(record);
    if (recorded === null) return;
    if (recorded === 'unreadable') {
      this.unreadable++;
      return;
    }
    this.decisions++;
    const { allowed, rule } = this.#draft.decide(recorded.question, recorded.context);
    if (allowed === recorded.allowed) return;
    this.changed++;
    if (this.examples.length >= this.#most) return;
    const { seq, at, actor, action, resource } = record;
    this.examples.push({
      seq,
      at,
      actor,
      action,
      resource,
      before: recorded.allowed ? 'allow' : 'deny',
      rule_before: recorded.rule,
      after: allowed ? 'allow' : 'deny',
      rule_after: rule,
    });
  }
}
