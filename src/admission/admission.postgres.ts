import type { Pool, PoolClient } from 'pg';
import { QUOTA_KINDS, type QuotaKind, type ScopeType } from '#quota/limit.ts';
import {
  type BatchText,
  type Breach,
  batchText,
  CommitFailure,
  type Item,
  type Position,
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
    const ends = rows.find((row) => row.o_idx === -1)?.o_detail as Partial<Record<string, number>> | null | undefined;
    const reset = { day: ends?.['reset_seconds'] ?? 0, minute: ends?.['minute_seconds'] ?? 0 };
    const verdicts: Verdict[] = [];
    // By its number and not by its place: a verdict must never reach another's request.
    for (const row of rows) {
      if (row.o_idx < 0) continue;
      verdicts[row.o_idx] = {
        verdict: row.o_verdict,
        code: row.o_code,
        position: positionOf(row),
        ...NO_QUOTA,
        ...(items[row.o_idx]?.op === 'admit' ? quotasOf(row.o_detail) : {}),
        ...(row.o_verdict === 'extended' ? { tokens: Number(row.o_detail) } : {}),
        detail: row.o_detail,
        reset,
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
      values: [instance, zone, batch.principals, batch.counters, batch.items],
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

/** What was committed before, its answer lost on the way: the caller hears what he would have heard then. */
function firstAnswer({ o_verdict, o_code, o_detail }: Row): Partial<Verdict> {
  if (o_verdict !== 'duplicate' || (o_code !== 'changed' && o_code !== 'refused' && o_code !== 'extended')) return {};
  const { code, detail } = o_detail as { code: string | null; detail: unknown };
  return { verdict: o_code, code, detail, ...(o_code === 'extended' ? { tokens: Number(detail) } : {}) };
}

function positionOf(row: Row): Position | null {
  if (row.o_seq === null || row.o_at === null || row.o_leaf === null) return null;
  return { seq: Number(row.o_seq), at: row.o_at, leaf: row.o_leaf.toString('hex') };
}

const NO_QUOTA = { quotas: [], breaches: [], tokens: 0 } satisfies Partial<Verdict>;

/** Of each counter: its type, its limits and what is used of them in the order of the kinds, and what a dry run noticed. */
type CounterRow = readonly [
  scope: ScopeType,
  limits: readonly number[],
  used: readonly number[],
  breached?: readonly QuotaKind[],
];

function quotasOf(detail: unknown): Pick<Verdict, 'quotas' | 'breaches' | 'tokens'> {
  if (!Array.isArray(detail)) return NO_QUOTA;
  const [tokens, ...counters] = detail as [number, ...CounterRow[]];
  const quotas: QuotaState[] = [];
  const breaches: Breach[] = [];
  for (const [scope, limits, used, breached] of counters) {
    for (const [index, kind] of QUOTA_KINDS.entries()) {
      const limit = limits[index] ?? 0;
      quotas.push({ scope, kind, limit: limit > Number.MAX_SAFE_INTEGER ? null : limit, used: used[index] ?? 0 });
    }
    for (const kind of breached ?? []) breaches.push({ scope, kind });
  }
  return { quotas, breaches, tokens };
}
