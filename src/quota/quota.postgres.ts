import { prepared, type Queryable } from '#postgres/pool.ts';
import type { QuotaKind } from './limit.ts';
import type { QuotaStore } from './quota.ts';

interface UsageRow {
  scope: string;
  kind: QuotaKind;
  amount: string;
  used: string;
  dry_run: boolean;
  window_start: Date | null;
  resets_at: Date | null;
}
interface LimitRow {
  scope: string;
  kind: QuotaKind;
  amount: string;
  dry_run: boolean;
  raised_amount: string | null;
  raised_until: Date | null;
  changed_by: string;
  changed_at: Date;
  name: string | null;
}
const USAGE = prepared<UsageRow>('quota_usage_of', 'SELECT * FROM strongroom.quota_usage_of($1::json, $2)');
const LIMITS = prepared<LimitRow>('list_quotas', 'SELECT * FROM strongroom.list_quotas()');
const EXISTS = prepared<{ there: boolean }>('quota_scope_exists', 'SELECT strongroom.quota_scope_exists($1) AS there');

/** @param zone whose midnight begins a day */
export function postgresQuotas(pool: Queryable, zone: string): QuotaStore {
  return {
    usageOf: async (counters) => {
      const { rows } = await USAGE(pool, JSON.stringify(counters), zone);
      return rows.map((row) => ({
        scope: row.scope,
        kind: row.kind,
        limit: Number(row.amount),
        used: Number(row.used),
        dryRun: row.dry_run,
        startsAt: row.window_start?.toISOString() ?? null,
        resetsAt: row.resets_at?.toISOString() ?? null,
      }));
    },
    limits: async () => {
      const { rows } = await LIMITS(pool);
      return rows.map((row) => ({
        scope: row.scope,
        name: row.name,
        kind: row.kind,
        amount: Number(row.amount),
        dryRun: row.dry_run,
        raise:
          row.raised_until === null
            ? null
            : { amount: Number(row.raised_amount), until: row.raised_until.toISOString() },
        changedBy: row.changed_by,
        changedAt: row.changed_at.toISOString(),
      }));
    },
    scopeExists: async (scope) => (await EXISTS(pool, scope)).rows[0]?.there === true,
  };
}
