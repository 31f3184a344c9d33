import type { Pool, PoolClient } from 'pg';
import { CommitFailure, type Item, type Verdict } from './admission.ts';
import { type Batch, encodeBatch } from './batch.postgres.ts';
import { Counts, type CountsRead } from './counts.postgres.ts';

/** One item's answer: `leaf` in hex. */
type Row = readonly [
  index: number,
  verdict: Verdict['verdict'],
  code: string | null,
  seq: number | null,
  at: string | null,
  leaf: string | null,
  detail: unknown,
];

interface Answer extends CountsRead {
  readonly day_seconds: number;
  readonly minute_seconds: number;
  readonly verdicts: readonly Row[];
}

/**
 * One call of `commit_batch`: one autocommitted statement, never BEGIN and COMMIT from here (a gateway that idles in
 * between would hold the head lock against every replica).
 */
export function batchCommitter(pool: Pool, instance: string, zone: string) {
  const type = new ItemType(pool);
  return async (items: readonly Item[]): Promise<readonly Verdict[]> => {
    const batch = batchOf(items, await type.oid());
    const answer = await send(pool, instance, zone, batch, type);
    const counts = new Counts(answer, batch.subjects);
    const reset = { day: answer.day_seconds, minute: answer.minute_seconds };
    const verdicts: Verdict[] = [];
    // By its number and not by its place: a verdict must never reach another's request.
    for (const row of answer.verdicts.toSorted(([a], [b]) => a - b)) {
      const [index, verdict, code, seq, at, leaf, detail] = row;
      verdicts[index] = {
        verdict,
        code,
        position: seq === null || at === null || leaf === null ? null : { seq, at, leaf },
        ...NO_QUOTA,
        ...quotasOf(items[index], batch.places[index] ?? [], verdict, detail, counts),
        ...(verdict === 'extended' ? { tokens: Number(detail) } : {}),
        detail,
        reset,
        ...firstAnswer(verdict, code, detail),
      };
    }
    return verdicts;
  };
}

/** What number this database knows `batch_item` by: each has its own, and a migration gives another. */
class ItemType {
  readonly #pool: Pool;
  #oid: number | null = null;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async oid(): Promise<number> {
    this.#oid ??= await this.#ask();
    return this.#oid;
  }

  /** The next batch asks again. */
  forget(): void {
    this.#oid = null;
  }

  async #ask(): Promise<number> {
    try {
      const { rows } = await this.#pool.query<{ oid: number }>("SELECT 'strongroom.batch_item'::regtype::oid AS oid");
      return rows[0]?.oid ?? 0;
    } catch (cause) {
      throw new CommitFailure('rolled_back', sqlstateOf(cause) ?? '08001', cause);
    }
  }
}

/** What can't even be written counts as bad data: `data_exception`. */
function batchOf(items: readonly Item[], type: number): Batch {
  try {
    return encodeBatch(items, type);
  } catch (cause) {
    throw new CommitFailure('rolled_back', '22000', cause);
  }
}

async function send(pool: Pool, instance: string, zone: string, batch: Batch, type: ItemType): Promise<Answer> {
  let client: PoolClient;
  try {
    client = await pool.connect();
  } catch (cause) {
    throw new CommitFailure('rolled_back', sqlstateOf(cause) ?? '08001', cause);
  }
  try {
    const { rows } = await client.query<{ answer: string }>({
      name: 'commit_batch',
      text: 'SELECT strongroom.commit_batch($1, $2, $3, $4, $5, $6, $7, $8, $9::strongroom.batch_item[]) AS answer',
      values: [
        instance,
        zone,
        batch.kinds,
        batch.refs,
        batch.epochs,
        batch.policies,
        batch.subjects,
        batch.roles,
        batch.items,
      ],
    });
    client.release();
    return JSON.parse(rows[0]?.answer ?? '') as Answer;
  } catch (cause) {
    type.forget();
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
function firstAnswer(verdict: Verdict['verdict'], was: string | null, answer: unknown): Partial<Verdict> {
  if (verdict !== 'duplicate' || (was !== 'changed' && was !== 'refused' && was !== 'extended')) return {};
  const { code, detail } = answer as { code: string | null; detail: unknown };
  return { verdict: was, code, detail, ...(was === 'extended' ? { tokens: Number(detail) } : {}) };
}

const NO_QUOTA = { quotas: [], breaches: [], tokens: 0 } satisfies Partial<Verdict>;

/** The database says what an admission took only where it was judged by its quotas. */
function quotasOf(
  item: Item | undefined,
  places: readonly number[],
  verdict: Verdict['verdict'],
  detail: unknown,
  counts: Counts,
): Partial<Verdict> {
  if (item?.op !== 'admit' || typeof detail !== 'number') return {};
  return counts.next(places, verdict === 'admitted' ? { tokens: detail, open: item.open } : null);
}
