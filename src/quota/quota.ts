import type { QuotaKind } from './limit.ts';

/** One limit of a caller and what is taken of it now. */
export interface UsageEntry {
  /** `user:ID`, `key:ID`, `department:NAME` or `model:ID`. */
  readonly scope: string;
  readonly kind: QuotaKind;
  readonly limit: number;
  readonly used: number;
  /** Counted and reported, never refused. */
  readonly dryRun: boolean;
  /** RFC 3339; null for `concurrent`, which has no window. */
  readonly startsAt: string | null;
  readonly resetsAt: string | null;
}

/** As admission counts. */
export interface UsageCounter {
  readonly subject: string;
  readonly roles: readonly string[] | null;
}

export interface UsageStore {
  usageOf(counters: readonly UsageCounter[]): Promise<readonly UsageEntry[]>;
}

/** A limit that is set. `scope`: `role:NAME` too. */
export interface QuotaLimit {
  readonly scope: string;
  /** Of a user, or of a key and its owner. */
  readonly name: string | null;
  readonly kind: QuotaKind;
  readonly amount: number;
  readonly dryRun: boolean;
  /** In place of `amount` until then (RFC 3339), by the database's clock. */
  readonly raise: { readonly amount: number; readonly until: string } | null;
  readonly changedBy: string;
  readonly changedAt: string;
}

export interface QuotaStore extends UsageStore {
  limits(): Promise<readonly QuotaLimit[]>;
  /** Whether the account, key, department or role is there; models are known to the configuration alone. */
  scopeExists(scope: string): Promise<boolean>;
}

/** The strictest of a kind: the one that has the least left. */
export function strictest(
  entries: readonly UsageEntry[],
  kind: QuotaKind,
): { limit: number; used: number; remaining: number } {
  const [least] = entries
    .filter((entry) => entry.kind === kind && !entry.dryRun)
    .map(({ limit, used }) => ({ limit, used, remaining: Math.max(0, limit - used) }))
    .toSorted((a, b) => a.remaining - b.remaining);
  return least ?? { limit: 0, used: 0, remaining: 0 };
}
