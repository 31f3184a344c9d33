import type { Admission, AdmissionRequest } from '#kernel/gate.ts';
import { Problem, type ProblemCode } from '#kernel/problem.ts';
import type { QuotaKind, Take, Verdict } from './admission.ts';

export function takesOf({ principal, reserveTokens }: AdmissionRequest): Take[] {
  if (reserveTokens === null) return [];
  const scopes = [`user:${principal.subject}`, ...principal.roles.map((role) => `role:${role}`)];
  const take = (kind: QuotaKind, amount: number): Take => ({ subject: principal.subject, kind, amount, scopes });
  return [take('requests_day', 1), take('tokens_day', reserveTokens)];
}

export function rateLimitsOf({ quotas, resetSeconds }: Verdict): Admission['rateLimits'] {
  return quotas.map(({ kind, limit, used }) => ({
    kind: kind === 'requests_day' ? 'requests' : 'tokens',
    limit,
    remaining: Math.max(0, limit - used),
    resetSeconds,
  }));
}

const WORDS: Readonly<Record<QuotaKind, string>> = { requests_day: 'requests per day', tokens_day: 'tokens per day' };

/** Refused for a quota: which one, what is left, and when it begins anew. */
export function quotaProblem(verdict: Verdict): Problem {
  const kind = verdict.code as QuotaKind;
  const state = verdict.quotas.find((quota) => quota.kind === kind);
  const limit = state?.limit ?? 0;
  const code: ProblemCode = 'rate_limit_exceeded';
  const headers = Object.fromEntries(
    rateLimitsOf(verdict).flatMap((one) => [
      [`x-ratelimit-limit-${one.kind}`, String(one.limit)],
      [`x-ratelimit-remaining-${one.kind}`, String(one.remaining)],
      [`x-ratelimit-reset-${one.kind}`, `${one.resetSeconds}s`],
    ]),
  );
  return new Problem(code, {
    message:
      limit === 0
        ? `No quota of ${WORDS[kind]} is set for you. Ask an administrator.`
        : `Your quota of ${limit} ${WORDS[kind]} does not allow this request; ${Math.max(0, limit - (state?.used ?? 0))} are left. It begins anew in ${verdict.resetSeconds} s.`,
    retryAfter: verdict.resetSeconds,
    extra: { quota: kind, limit },
    headers,
  });
}
