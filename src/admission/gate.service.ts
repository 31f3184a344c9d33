import { type AuditEvent, recordAndRefusal, recordText } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf, type RefusalBudget, type RefusalKey } from '#audit/refusal-budget.ts';
import type { Clock } from '#kernel/clock.ts';
import type {
  Admission,
  AdmissionRequest,
  Decision,
  Ending,
  Gate,
  PresentedCredential,
  Refusal,
  Report,
  Resource,
} from '#kernel/gate.ts';
import { newEventId } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { proofText } from '#stepup/stepup.ts';
import type { AdmitItem, Item, Position, QuotaKind, Standing, Verdict } from './admission.ts';
import { quotaProblem, rateLimitsOf, takesOf } from './gate.ts';

export interface GateDeps {
  readonly submit: (item: Item) => Promise<Verdict>;
  readonly recorder: Recorder;
  readonly budget: RefusalBudget;
  readonly findPrincipal: (
    kind: 'session' | 'api_key',
    secret: string,
    fresh: boolean,
    network: string,
  ) => Promise<Principal | null>;
  /** Policy: `loadPolicy` fetches the version in force, `decide` uses what is loaded. */
  readonly loadPolicy: () => Promise<void>;
  readonly decide: (principal: Principal, action: string, resource: Resource) => Decision;
  readonly challenge: (principal: Principal, digest: string, operation: string, requestId: string) => Promise<string>;
  readonly check: (standing: Standing) => Promise<'valid' | 'revoked' | 'stale'>;
  readonly watch: (standing: Standing, end: (reason: unknown) => void) => () => void;
  /** Signs that a record is in the log at its place. MUST NOT throw: the record is there, whatever happens now. */
  readonly promise: (position: Position) => Promise<string | null>;
  /** Where this subject's record of this request stands; null where that can't be told now. MUST NOT throw. */
  readonly positionOf: (subject: string, requestId: string, kind: 'intent' | 'outcome') => Promise<Position | null>;
  readonly hash: (text: string) => string;
  readonly clock: Clock;
}

/** What the pipeline's steps ask of the features: authenticate, authorise, step up, admit, settle, refuse. */
export class AdmissionGate implements Gate {
  readonly #deps: GateDeps;

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  async authenticate(credential: PresentedCredential, fresh: boolean, address: string): Promise<Principal | null> {
    try {
      const [principal] = await Promise.all([
        this.#deps.findPrincipal(credential.kind, credential.secret, fresh, networkOf(address)),
        fresh ? this.#deps.loadPolicy() : undefined,
      ]);
      return principal;
    } catch (cause) {
      if (cause instanceof Problem && cause.code === 'too_many_attempts') throw cause;
      throw new Problem('audit_unavailable', { retryAfter: 1 }, cause);
    }
  }

  async authorise(principal: Principal, action: string, resource: Resource): Promise<Decision> {
    return this.#deps.decide(principal, action, resource);
  }

  challenge(principal: Principal, digest: string, operation: string, requestId: string): Promise<string> {
    return this.#deps.challenge(principal, digest, operation, requestId);
  }

  check(principal: Principal, decision: Decision): Promise<'valid' | 'revoked' | 'stale'> {
    return this.#deps.check(standingOf(principal, decision));
  }

  watch(principal: Principal, decision: Decision, end: (reason: unknown) => void): () => void {
    return this.#deps.watch(standingOf(principal, decision), end);
  }

  async admit(request: AdmissionRequest): Promise<Admission | 'stale' | 'step_up'> {
    const item = this.#admitItem(request);
    const verdict = await this.#deps.submit(item);
    const admission = { intentId: item.id, seq: verdict.position?.seq ?? null };
    switch (verdict.verdict) {
      case 'admitted':
        return {
          ...admission,
          promise: await this.#promiseOf(request, 'intent', verdict),
          rateLimits: rateLimitsOf(verdict),
        };
      case 'duplicate':
        // The first try of a batch whose answer was lost: what it decided stands.
        if (verdict.code === 'admitted')
          return { ...admission, promise: await this.#promiseOf(request, 'intent', verdict), rateLimits: [] };
        throw new Problem('audit_unavailable', { retryAfter: 1 });
      case 'stale':
        return 'stale';
      default:
        this.#countRefusal(request, verdict);
        if (verdict.verdict === 'step_up') return 'step_up';
        if (verdict.verdict === 'quota') throw quotaProblem(verdict);
        throw new Problem('unauthenticated');
    }
  }

  async #promiseOf(
    { principal, requestId }: AdmissionRequest,
    kind: 'intent' | 'outcome',
    { position, verdict }: Verdict,
  ): Promise<string | null> {
    const { promise, positionOf } = this.#deps;
    // A duplicate was committed by a try whose answer was lost, and with it the place.
    const place = position ?? (verdict === 'duplicate' ? await positionOf(principal.subject, requestId, kind) : null);
    return place === null ? null : promise(place);
  }

  #admitItem(request: AdmissionRequest): AdmitItem {
    const { principal, decision, proof } = request;
    const { record, refusal } = recordAndRefusal(intentOf(request), 'denied', 'denial');
    // Whether a denial would be recorded singly is settled before: the database writes it in the same transaction.
    const singly = REFUSAL_CODES.every((code) => this.#deps.budget.open(keyOf(request, code)));
    return {
      op: 'admit',
      id: newEventId(),
      record,
      refusal: singly ? refusal : null,
      standing: standingOf(principal, decision),
      takes: takesOf(request),
      open: true,
      proof:
        proof === null
          ? null
          : { ref: this.#deps.hash(proofText(principal.credential.ref, proof.secret)), digest: proof.digest },
    };
  }

  #countRefusal(request: AdmissionRequest, verdict: Verdict): void {
    const key = keyOf(request, verdict.verdict);
    if (verdict.position === null) this.#deps.budget.count(key, this.#deps.clock.now());
    else this.#deps.budget.spend(key);
  }

  async settle(
    request: AdmissionRequest,
    admission: Admission,
    ending: Ending,
    report: Report,
  ): Promise<string | null> {
    const notRun = !report.ran;
    const event: AuditEvent = {
      ...intentOf(request),
      kind: 'outcome',
      outcome: notRun ? 'not_run' : ending.outcome,
      ...(ending.code === null ? {} : { outcome_code: ending.code }),
      facts: { ...report.facts, route: request.routeId, intent: admission.intentId },
    };
    const counted = request.reserveTokens !== null;
    const used: Partial<Record<QuotaKind, number>> = notRun
      ? { requests_day: 0, tokens_day: 0 }
      : counted && report.tokens !== null
        ? { tokens_day: report.tokens }
        : {};
    const verdict = await this.#deps.submit({
      op: 'settle',
      id: newEventId(),
      ...recordAndRefusal(event, 'late_outcome'),
      intent: admission.intentId,
      used,
      opening: report.opening,
    });
    // Somebody closed our intent: our lease had run out. The answer may not be completed.
    if (verdict.verdict === 'late' || (verdict.verdict === 'duplicate' && verdict.code === 'late'))
      throw new Problem('audit_unavailable', { retryAfter: 1 });
    return this.#promiseOf(request, 'outcome', verdict);
  }

  refuse(refusal: Refusal): void {
    const { requestId, code, principal, action, resource, address, decision } = refusal;
    if (principal === null) {
      // Nobody was recognised: anyone can cause these, so they only count towards the minute's summary.
      this.#deps.recorder.stray(code, address);
      return;
    }
    const actor = principal.subject;
    this.#deps.recorder.refuse(
      {
        kind: 'denial',
        actor,
        action,
        resource: resource === null ? 'unknown:' : `${resource.type}:${resource.id}`,
        outcome: 'denied',
        outcome_code: code,
        request: requestId,
        facts: {
          address,
          credential: principal.credential.kind,
          ...(decision === null ? {} : { policy_version: decision.policyVersion, rule: decision.rule }),
        },
      },
      { code, source: networkOf(address), subject: actor },
    );
  }
}

/** Takes back an admission whose fate is unknown: the caller was told 503, so it has not run. */
export function voidOf(item: AdmitItem): Item {
  const { actor, action, resource, request } = item.record;
  return {
    op: 'void',
    id: newEventId(),
    record: recordText({
      kind: 'outcome',
      actor,
      action,
      resource,
      outcome: 'not_run',
      request,
      facts: { intent: item.id },
    }),
    refusal: null,
    intent: item.id,
    used: { requests_day: 0, tokens_day: 0 },
    opening: null,
  };
}

const REFUSAL_CODES = ['revoked', 'quota', 'step_up'] as const;

const keyOf = ({ principal, address }: AdmissionRequest, code: string): RefusalKey => ({
  code,
  source: networkOf(address),
  subject: principal.subject,
});

const standingOf = (principal: Principal, decision: Decision): Standing => ({
  credential: principal.credential,
  epoch: principal.epoch,
  policyVersion: decision.policyVersion,
});

function intentOf({
  requestId,
  routeId,
  principal,
  action,
  resource,
  decision,
  address,
  reserveTokens,
}: AdmissionRequest): AuditEvent {
  return {
    kind: 'intent',
    actor: principal.subject,
    action,
    resource: `${resource.type}:${resource.id}`,
    outcome: 'admitted',
    request: requestId,
    facts: {
      route: routeId,
      address,
      credential: `${principal.credential.kind}:${principal.credential.ref.slice(0, 16)}`,
      roles: principal.roles,
      department: principal.attributes.department,
      clearance: principal.attributes.clearance,
      policy_version: decision.policyVersion,
      rule: decision.rule,
      ...(reserveTokens === null ? {} : { quota: { requests_day: 1, tokens_day: reserveTokens } }),
    },
  };
}
