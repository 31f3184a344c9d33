import { decisionFacts } from '#access/decision-facts.ts';
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
  Grant,
  ModelAsk,
  ModelGrant,
  PresentedCredential,
  Refusal,
  Report,
  Reserve,
  Resource,
} from '#kernel/gate.ts';
import { newEventId } from '#kernel/id.ts';
import { sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { proofText } from '#stepup/stepup.ts';
import type { AdmitItem, Item, Position, Standing, Verdict } from './admission.ts';
import { breachName, grantOf, partyOf, quotaFacts, quotaProblem, rateLimitsOf, takeOf } from './gate.ts';
import { askedBy, intentOf } from './intent.ts';

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
  readonly decide: (principal: Principal, action: string, resource: Resource, address: string) => Decision;
  readonly bound: (principal: Principal, resource: Resource, ask: ModelAsk) => ModelGrant;
  readonly challenge: (principal: Principal, digest: string, operation: string, requestId: string) => Promise<string>;
  readonly check: (standing: Standing) => Promise<'valid' | 'revoked' | 'stale'>;
  readonly watch: (standing: Standing, end: (reason: unknown) => void) => () => void;
  /** Signs that a record is in the log at its place. MUST NOT throw: the record is there, whatever happens now. */
  readonly promise: (position: Position) => Promise<string | null>;
  /** Where this subject's record of this request stands; null where that can't be told now. MUST NOT throw. */
  readonly positionOf: (subject: string, requestId: string, kind: 'intent' | 'outcome') => Promise<Position | null>;
  readonly hash: (text: string) => string;
  readonly clock: Clock;
  /** A limit refused (`refused`), or would have (`dry_run`); for metrics. */
  readonly onLimit: (limit: string, effect: 'refused' | 'dry_run') => void;
}

/** What the pipeline's steps ask of the features: authenticate, authorise, step up, admit, settle, refuse. */
export class AdmissionGate implements Gate {
  readonly #deps: GateDeps;

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  async authenticate(credential: PresentedCredential, fresh: boolean, address: string): Promise<Principal | null> {
    try {
      const { findPrincipal, loadPolicy } = this.#deps;
      const found = findPrincipal(credential.kind, credential.secret, fresh, networkOf(address));
      if (fresh) await Promise.all([found, loadPolicy()]);
      return await found;
    } catch (cause) {
      if (cause instanceof Problem && cause.code === 'too_many_attempts') throw cause;
      throw new Problem('audit_unavailable', { retryAfter: 1 }, cause);
    }
  }

  authorise(principal: Principal, action: string, resource: Resource, address: string): Decision {
    return this.#deps.decide(principal, action, resource, address);
  }

  bound(principal: Principal, resource: Resource, ask: ModelAsk): ModelGrant {
    return this.#deps.bound(principal, resource, ask);
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
    const overLimit = verdict.breaches.map(breachName);
    for (const limit of overLimit) this.#deps.onLimit(limit, 'dry_run');
    const admission = { intentId: item.id, seq: verdict.position?.seq ?? null, overLimit };
    switch (verdict.verdict) {
      case 'admitted':
        return {
          ...admission,
          promise: () => this.#promiseOf(request, 'intent', verdict),
          rateLimits: rateLimitsOf(verdict),
          tokens: verdict.tokens,
        };
      case 'duplicate':
        // The first try of a batch whose answer was lost: what it decided stands. How much it took was in that answer:
        // the least that it can have been is counted on.
        if (verdict.code === 'admitted')
          return {
            ...admission,
            promise: () => this.#promiseOf(request, 'intent', verdict),
            rateLimits: [],
            tokens: request.reserve?.least ?? 0,
          };
        throw new Problem('audit_unavailable', { retryAfter: 1 });
      case 'stale':
        return 'stale';
      default:
        this.#countRefusal(request, verdict);
        if (verdict.verdict === 'step_up') return 'step_up';
        if (verdict.verdict === 'quota') {
          this.#deps.onLimit(verdict.code ?? '', 'refused');
          throw quotaProblem(verdict);
        }
        throw new Problem('unauthenticated');
    }
  }

  async extend(request: AdmissionRequest, { intentId }: Admission, { tokens, least }: Reserve): Promise<Grant> {
    const verdict = await this.#deps.submit({
      op: 'extend',
      id: newEventId(),
      intent: intentId,
      take: { counters: partyOf(request), tokens, least },
    });
    // Somebody closed our intent: our lease had run out, and what it had reserved is charged.
    if (verdict.verdict !== 'extended') throw new Problem('audit_unavailable', { retryAfter: 1 });
    if (verdict.code !== null) this.#deps.onLimit(verdict.code, 'refused');
    return grantOf(verdict);
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
    const source = networkOf(request.address);
    const singly = REFUSAL_CODES.every((code) => this.#deps.budget.open({ code, source, subject: principal.subject }));
    return {
      op: 'admit',
      id: newEventId(),
      record,
      refusal: singly ? refusal : null,
      standing: standingOf(principal, decision),
      take: takeOf(request),
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
      ...askedBy(request),
      kind: 'outcome',
      outcome: notRun ? 'not_run' : ending.outcome,
      ...(ending.code === null ? {} : { outcome_code: ending.code }),
      facts: {
        ...report.facts,
        route: request.routeId,
        intent: admission.intentId,
        ...(request.reserve === null ? {} : quotaFacts(admission, report)),
      },
    };
    const verdict = await this.#deps.submit({
      op: 'settle',
      id: newEventId(),
      ...recordAndRefusal(event, 'late_outcome'),
      intent: admission.intentId,
      used: report.tokens,
      ran: report.ran,
      opening: report.opening,
    });
    // Somebody closed our intent: our lease had run out. The answer may not be completed.
    if (verdict.verdict === 'late' || (verdict.verdict === 'duplicate' && verdict.code === 'late'))
      throw new Problem('audit_unavailable', { retryAfter: 1 });
    return this.#promiseOf(request, 'outcome', verdict);
  }

  refuse(refusal: Refusal): void {
    const { requestId, code, principal, action, resource, address, decision, bound } = refusal;
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
          ...sourceFacts(refusal),
          credential: principal.credential.kind,
          ...(decision === null ? {} : decisionFacts(principal, decision)),
          ...(bound === null ? {} : { bound }),
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
    used: 0,
    ran: false,
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
