import type { Admission, AdmissionRequest, Grant, RateLimit, Report } from '#kernel/gate.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { KIND_WORDS, parseLimit, type QuotaKind, type ScopeType, WHOSE } from '#quota/limit.ts';
import type { Breach, Counter, QuotaState, Take, Verdict } from './admission.ts';

/** What a request counts on: its user, the key that was shown, the user's department and the model. */
export function countersOf(principal: Principal, models: readonly string[]): Counter[] {
  const { subject, roles, credential, attributes } = principal;
  const counters: Counter[] = [{ subject: `user:${subject}`, roles: roles.map((role) => `role:${role}`) }];
  if (credential.kind === 'api_key') counters.push({ subject: `key:${credential.ref}`, roles: null });
  if (attributes.department !== '') counters.push({ subject: `department:${attributes.department}`, roles: null });
  for (const model of models) counters.push({ subject: `model:${model}`, roles: null });
  return counters;
}

export const partyOf = ({ principal, resource }: AdmissionRequest): Counter[] =>
  countersOf(principal, resource.type === 'model' ? [resource.id] : []);

export const takeOf = (request: AdmissionRequest): Take | null =>
  request.reserve === null ? null : { counters: partyOf(request), ...request.reserve };

const WHAT = {
  requests_day: 'requests',
  requests_minute: 'requests',
  tokens_day: 'tokens',
  tokens_minute: 'tokens',
} as const;
const WINDOW = { requests_day: 'day', requests_minute: 'minute', tokens_day: 'day', tokens_minute: 'minute' } as const;

/** Of requests and of tokens the limit that has the least left, whatever it counts and in whichever window. */
export function rateLimitsOf({ quotas, reset }: Pick<Verdict, 'quotas' | 'reset'>): Admission['rateLimits'] {
  const strictest = new Map<RateLimit['kind'], RateLimit>();
  for (const { kind, limit, used } of quotas) {
    if (kind === 'concurrent' || limit === null) continue;
    const remaining = Math.max(0, limit - used);
    const known = strictest.get(WHAT[kind]);
    if (known === undefined || remaining < known.remaining) {
      strictest.set(WHAT[kind], { kind: WHAT[kind], limit, remaining, resetSeconds: reset[WINDOW[kind]] });
    }
  }
  return [...strictest.values()];
}

/** A place is free when another request ends, which nobody can foresee. */
const CONCURRENT_RETRY_SECONDS = 1;

const waitOf = (kind: QuotaKind, reset: Verdict['reset']): number =>
  kind === 'concurrent' ? CONCURRENT_RETRY_SECONDS : reset[WINDOW[kind]];

/** Refused for a quota: which one, of whom, what is left, and when it begins anew. */
export function quotaProblem(verdict: Pick<Verdict, 'code' | 'quotas' | 'reset'>): Problem {
  const { kind, scope } = parseLimit(verdict.code ?? '');
  const state = verdict.quotas.find((quota) => quota.kind === kind && quota.scope === scope);
  const retryAfter = waitOf(kind, verdict.reset);
  const headers = Object.fromEntries(
    rateLimitsOf(verdict).flatMap((one) => [
      [`x-ratelimit-limit-${one.kind}`, String(one.limit)],
      [`x-ratelimit-remaining-${one.kind}`, String(one.remaining)],
      [`x-ratelimit-reset-${one.kind}`, `${one.resetSeconds}s`],
    ]),
  );
  return new Problem('rate_limit_exceeded', {
    message: messageOf(kind, scope, state, retryAfter),
    retryAfter,
    extra: { quota: kind, scope, limit: state?.limit ?? 0 },
    headers,
  });
}

function messageOf(kind: QuotaKind, scope: ScopeType, state: QuotaState | undefined, retryAfter: number): string {
  const limit = state?.limit ?? 0;
  if (limit === 0)
    return scope === 'user'
      ? `No quota of ${KIND_WORDS[kind]} is set for you. Ask an administrator.`
      : `${WHOSE[scope]} allows no ${KIND_WORDS[kind]}.`;
  if (kind === 'concurrent')
    return `${WHOSE[scope]} of ${limit} ${KIND_WORDS[kind]} is taken up. Try again when one of them has ended.`;
  const left = Math.max(0, limit - (state?.used ?? 0));
  return `${WHOSE[scope]} of ${limit} ${KIND_WORDS[kind]} does not allow this request; ${left} are left. It begins anew in ${retryAfter} s.`;
}

export function grantOf({ tokens, code, reset }: Pick<Verdict, 'tokens' | 'code' | 'reset'>): Grant {
  return { tokens, limit: code, retryAfter: code === null ? 0 : waitOf(parseLimit(code).kind, reset) };
}

export const breachName = ({ kind, scope }: Breach): string => `${kind}:${scope}`;

/** What was charged in the end, and which limits that are only tried out would have refused the request. */
export const quotaFacts = ({ overLimit, tokens }: Admission, report: Report) => ({
  quota_tokens: report.ran ? (report.tokens ?? tokens) : 0,
  ...(overLimit.length === 0 ? {} : { quota_dry_run: [...overLimit] }),
});
