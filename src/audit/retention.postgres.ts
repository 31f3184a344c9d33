import type { Queryable } from '#postgres/pool.ts';
import type { RetentionStore, RetentionVerdict } from './retention.ts';

interface Row {
  readonly from_seq: string;
  readonly to_seq: string;
  readonly verdict: RetentionVerdict;
  readonly newest: string | null;
  readonly hold: string | null;
  readonly dropped: string;
}

/** Through a login that is granted `strongroom_keeper`, and in that role. */
export function postgresRetention(on: Queryable): RetentionStore {
  return {
    state: async (days) => {
      const { rows } = await on.query<Row>('SELECT * FROM strongroom.retention_state($1)', [days]);
      return rows.map(({ from_seq, to_seq, ...rest }) => ({ ...rest, from: Number(from_seq), to: Number(to_seq) }));
    },
    cut: async () => {
      const { rows } = await on.query<{ cut: string | null }>('SELECT strongroom.cut_log() AS cut');
      const cut = rows[0]?.cut ?? null;
      return cut === null ? null : Number(cut);
    },
    forgetOpenings: async (limit) => {
      const { rows } = await on.query<{ gone: string }>('SELECT strongroom.forget_openings($1) AS gone', [limit]);
      return Number(rows[0]?.gone ?? 0);
    },
  };
}

/** Of the newest body that retention dropped; null where it dropped none. */
export async function droppedUntil(on: Queryable): Promise<Date | null> {
  const { rows } = await on.query<{ until: Date | null }>('SELECT strongroom.dropped_until() AS until');
  return rows[0]?.until ?? null;
}
