import { Problem } from '#kernel/problem.ts';

/** What is counted. Days and minutes are the database's, days in the configured time zone. */
export const QUOTA_KINDS = ['requests_day', 'tokens_day', 'requests_minute', 'tokens_minute', 'concurrent'] as const;
export type QuotaKind = (typeof QUOTA_KINDS)[number];

/** What a request counts on: its user, and together with others its key, department and model. */
export type ScopeType = 'user' | 'key' | 'department' | 'model';

export const KIND_WORDS: Readonly<Record<QuotaKind, string>> = {
  requests_day: 'requests per day',
  tokens_day: 'tokens per day',
  requests_minute: 'requests per minute',
  tokens_minute: 'tokens per minute',
  concurrent: 'requests at a time',
};
export const WHOSE: Readonly<Record<ScopeType, string>> = {
  user: 'Your quota',
  key: 'The quota of this API key',
  department: 'The quota of your department',
  model: 'The quota of this model',
};

/** A limit as the database names it: `requests_day:user`. */
export function parseLimit(code: string): { readonly kind: QuotaKind; readonly scope: ScopeType } {
  const [kind = '', scope = ''] = code.split(':');
  return { kind: kind as QuotaKind, scope: scope as ScopeType };
}

/** Before the first token is computed: the prompt is longer than was reserved, and there is not enough left for it. */
export function promptRefusal(limit: string, promptTokens: number, retryAfter: number): Problem {
  const { kind, scope } = parseLimit(limit);
  return new Problem('rate_limit_exceeded', {
    message: `${WHOSE[scope]} of ${KIND_WORDS[kind]} does not allow this prompt of ${promptTokens} tokens. Nothing was computed, nothing is counted.`,
    retryAfter,
    extra: { quota: kind, scope },
  });
}
