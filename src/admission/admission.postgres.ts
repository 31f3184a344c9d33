import type { Pool, PoolClient } from 'pg';
import {
  type BatchText,
  batchText,
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
    const rows = await send(pool, instance, zone, textOf(items));
    const day = rows.find((row) => row.o_idx === -1)?.o_detail as { reset_seconds?: number } | null | undefined;
    const resetSeconds = day?.reset_seconds ?? 0;
    const verdicts: Verdict[] = [];
    // By its number and not by its place: a verdict must never reach another's request.
    for (const row of rows) {
      if (row.o_idx < 0) continue;
      verdicts[row.o_idx] = {
        verdict: row.o_verdict,
        code: row.o_code,
        position: positionOf(row),
        quotas: items[row.o_idx]?.op === 'admit' ? quotasOf(row.o_detail) : [],
        detail: row.o_detail,
        resetSeconds,
        ...firstAnswer(row),
      };
    }
    return verdicts;
  };
}

/** What can't even be written as JSON counts as bad data: `data_exception`. */
function textOf(items: readonly Item[]): BatchText {
  try {
    return batchText(items);
  } catch (cause) {
    throw new CommitFailure('rolled_back', '22000', cause);
  }
}

async function send(pool: Pool, instance: string, zone: string, batch: BatchText): Promise<readonly Row[]> {
  let client: PoolClient;
  try {
    client = await pool.connect();
  } catch (cause) {
    throw new CommitFailure('rolled_back', sqlstateOf(cause) ?? '08001', cause);
  }
  try {
    const { rows } = await client.query<Row>({
      name: 'commit_batch',
      text: 'SELECT * FROM strongroom.commit_batch($1, $2, $3::json, $4::json, $5::json)',
      values: [instance, zone, batch.principals, batch.quotas, batch.items],
    });
    client.release();
    return rows;
  } catch (cause) {
    // After a client-side timeout the statement may still commit: the connection is thrown away, its fate is unknown.
    const sqlstate = sqlstateOf(cause);
    client.release(sqlstate === null || sqlstate.startsWith('57'));
    // FATAL ends the connection and says nothing about the statement before it.
    const isAnswer = sqlstate !== null && (cause as { severity?: unknown }).severity === 'ERROR';
    throw new CommitFailure(isAnswer ? 'rolled_back' : 'unknown', sqlstate, cause);
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

/** A change that was committed before, its answer lost on the way: the caller hears what he would have heard then. */
function firstAnswer({ o_verdict, o_code, o_detail }: Row): Partial<Verdict> {
  if (o_verdict !== 'duplicate' || (o_code !== 'changed' && o_code !== 'refused')) return {};
  const { code, detail } = o_detail as { code: string | null; detail: unknown };
  return { verdict: o_code, code, detail };
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
