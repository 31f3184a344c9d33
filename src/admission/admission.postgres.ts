import type { Pool, PoolClient } from 'pg';
import {
  batchDocument,
  CommitFailure,
  type Item,
  type Position,
  type QuotaKind,
  type QuotaState,
  type Verdict,
} from './admission.ts';

interface Row {
  readonly o_idx: number;
  readonly o_verdict: Verdict['verdict'];
  readonly o_code: string | null;
  readonly o_seq: string | null;
  readonly o_at: string | null;
  readonly o_leaf: Buffer | null;
  readonly o_detail: unknown;
}

/**
 * One call of `commit_batch`: one autocommitted statement, never BEGIN and COMMIT from here (a gateway that idles in
 * between would hold the head lock against every replica).
 */
export function batchCommitter(pool: Pool, instance: string, zone: string) {
  return async (items: readonly Item[]): Promise<readonly Verdict[]> => {
    const rows = await send(pool, batchDocument(instance, zone, items));
    const resetSeconds = Number((rows.at(-1)?.o_detail as { reset_seconds?: number } | null)?.reset_seconds ?? 0);
    return rows.slice(0, -1).map((row) => ({
      verdict: row.o_verdict,
      code: row.o_code,
      position: positionOf(row),
      quotas: items[row.o_idx]?.op === 'admit' ? quotasOf(row.o_detail) : [],
      detail: row.o_detail,
      resetSeconds,
    }));
  };
}

async function send(pool: Pool, document: string): Promise<readonly Row[]> {
  let client: PoolClient;
  try {
    client = await pool.connect();
  } catch (cause) {
    throw new CommitFailure('rolled_back', sqlstateOf(cause) ?? '08001', cause);
  }
  try {
    const { rows } = await client.query<Row>({
      name: 'commit_batch',
      text: 'SELECT * FROM strongroom.commit_batch($1::json)',
      values: [document],
    });
    client.release();
    return rows;
  } catch (cause) {
    // After a client-side timeout the statement may still commit: the connection is thrown away, its fate is unknown.
    const sqlstate = sqlstateOf(cause);
    client.release(sqlstate === null || sqlstate.startsWith('57'));
    throw new CommitFailure(sqlstate === null ? 'unknown' : 'rolled_back', sqlstate, cause);
  }
}

/** Only the server's own answer has a five-character SQLSTATE; ECONNRESET and the like have not. */
function sqlstateOf(thrown: unknown): string | null {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' &&
    /^[0-9A-Z]{5}$/.test(code) &&
    (thrown as { severity?: unknown }).severity !== undefined
    ? code
    : null;
}

function positionOf(row: Row): Position | null {
  if (row.o_seq === null || row.o_at === null || row.o_leaf === null) return null;
  return { seq: Number(row.o_seq), at: row.o_at, leaf: row.o_leaf.toString('hex') };
}

function quotasOf(detail: unknown): readonly QuotaState[] {
  if (!Array.isArray(detail)) return [];
  return (detail as [QuotaKind, number | null, number][]).map(([kind, limit, used]) => ({
    kind,
    limit: limit ?? 0,
    used,
  }));
}
