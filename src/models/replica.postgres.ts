import { prepared, type Queryable } from '#postgres/pool.ts';
import { AdminReport } from './models.contract.ts';
import type { ReplicaStore } from './replica.ts';

interface ReportRow {
  instance: string;
  catalogue: string;
  reported_at: Date;
  report: unknown;
}
const EXCHANGE = prepared<ReportRow>('exchange_reports', 'SELECT * FROM strongroom.exchange_reports($1, $2, $3)');
const WITHDRAW = prepared('withdraw_report', 'SELECT strongroom.withdraw_report($1)');

/** The reports of migrations/0019. @param catalogue digest of what this gateway offers */
export const postgresReplicas = (pool: Queryable, instance: string, catalogue: string): ReplicaStore<AdminReport> => ({
  exchange: async (report) => {
    const { rows } = await EXCHANGE(pool, instance, catalogue, report === null ? null : JSON.stringify(report));
    return rows.map((row) => ({
      instance: row.instance,
      reportedAt: row.reported_at,
      isSameCatalogue: row.catalogue === catalogue,
      report: AdminReport.safeParse(row.report).data ?? null,
    }));
  },
  withdraw: async () => {
    await WITHDRAW(pool, instance);
  },
});
