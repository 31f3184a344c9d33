import { prepared, type Queryable } from '#postgres/pool.ts';
import type { Budget, UsageStore } from './quota.ts';

interface UsageRow {
  kind: 'requests_day' | 'tokens_day';
  amount: string;
  used: string;
  day: string;
  resets_at: Date;
}
const USAGE = prepared<UsageRow>('usage_today', 'SELECT * FROM strongroom.usage_today($1, $2, $3)');

export function postgresUsage(pool: Queryable, zone: string): UsageStore {
  return {
    usageToday: async (subject, roles) => {
      const scopes = [`user:${subject}`, ...roles.map((role) => `role:${role}`)];
      const { rows } = await USAGE(pool, subject, scopes, zone);
      const budget = (kind: UsageRow['kind']): Budget => {
        const row = rows.find((candidate) => candidate.kind === kind);
        return { limit: Number(row?.amount ?? 0), used: Number(row?.used ?? 0) };
      };
      const [first] = rows;
      return {
        day: first?.day ?? '',
        resetsAt: first?.resets_at.toISOString() ?? '',
        requests: budget('requests_day'),
        tokens: budget('tokens_day'),
      };
    },
  };
}
