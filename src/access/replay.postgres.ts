import type { GuardedPool } from '#postgres/pool.ts';
import { inTransaction } from '#postgres/transaction.ts';
import type { ReplayRecord } from './replay.ts';

interface Row {
  seq: string;
  at: string;
  kind: string;
  actor: string;
  action: string;
  resource: string;
  record: string;
}

/** Pages of decisions for a replay, as the auditor: row-level security shows seven days by the database's clock. */
export const replayPages =
  (pool: GuardedPool) =>
  (days: number, cursor: string | null, limit: number): Promise<readonly ReplayRecord[]> =>
    inTransaction(pool, { role: 'strongroom_auditor', readOnly: true }, async (client) => {
      const { rows } = await client.query<Row>(
        `SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, kind, actor, action, resource, record
         FROM strongroom.entry
         WHERE kind IN ('intent', 'denial') AND at >= now() - make_interval(days => $1) AND ($2::bigint IS NULL OR seq < $2::bigint)
         ORDER BY seq DESC LIMIT $3`,
        [days, cursor, limit],
      );
      return rows.map(({ record, ...row }) => ({ ...row, event: JSON.parse(record).event as Record<string, unknown> }));
    });
