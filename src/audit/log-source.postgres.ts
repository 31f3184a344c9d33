import type { Client, QueryConfig, QueryResultRow } from 'pg';
import { type ConnectionOptions, openConnection, sqlStateOf } from '#postgres/connection.ts';
import { ROLES } from '#postgres/roles.ts';
import { DROP_ACTION } from './drop.ts';
import {
  type LogPage,
  type LogRow,
  type LogSource,
  LostNode,
  type NodeRun,
  type StoredCheckpoint,
} from './log-source.ts';
import { HASH_BYTES } from './merkle.shared.ts';
import { type RegisteredKey, rotationsOf } from './signing-keys.ts';

export interface PostgresLog extends LogSource, AsyncDisposable {
  /** The keys of the log, the one in force last; who can write to the database could have put another there. */
  registeredKeys(): Promise<RegisteredKey[]>;
}

/** Records of a page: enough that a round trip costs little, few enough that memory stays small. */
const PAGE = 1024;
const CHECKPOINT_PAGE = 1000;

/**
 * The log in a live database, through a login that is granted `strongroom_verifier`. Read-only, and no statement runs
 * long: nothing that serves requests is held up, however much there is to read. What is appended meanwhile is left out.
 */
export async function openPostgresLog(url: string, options: Partial<ConnectionOptions> = {}): Promise<PostgresLog> {
  const client = await openConnection(url, {
    statementTimeoutMs: 60_000,
    queryTimeoutMs: 65_000,
    applicationName: 'strongroom-verify',
    ...options,
  });
  try {
    await client.query(
      `SET default_transaction_read_only = on; SET enable_seqscan = off; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';
       SET ROLE ${ROLES.verifier}`,
    );
  } catch (error) {
    await client.end().catch(() => undefined);
    if (!['42501', '22023'].includes(sqlStateOf(error) ?? '')) throw error;
    throw new Error(`the login may not read the whole log: it must be granted ${ROLES.verifier}`, { cause: error });
  }
  return new Source(client);
}

class Source implements PostgresLog {
  readonly name = 'the database';
  readonly #client: Client;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(client: Client) {
    this.#client = client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }

  /** One statement after the other: the driver takes only one at a time, and pages are asked for ahead. */
  #ask<R extends QueryResultRow | unknown[]>(query: QueryConfig & { rowMode?: 'array' }): Promise<R[]> {
    const answer = this.#tail.then(() => this.#client.query(query));
    this.#tail = answer.catch(() => undefined);
    return answer.then(({ rows }) => rows as R[]);
  }

  async extent() {
    const [row] = await this.#ask<Record<'size' | 'stored' | 'tree' | 'signed', string>>({
      text: `SELECT h.size, t.size AS tree, coalesce((SELECT max(c.size) FROM strongroom.checkpoint c), 0) AS signed,
              greatest((SELECT max(e.seq) FROM strongroom.entry e), (SELECT max(l.seq) FROM strongroom.leaf l), -1) + 1 AS stored
       FROM strongroom.head h, strongroom.tree t`,
    });
    if (row === undefined) throw new Error('the database holds no log');
    const { size, stored, tree, signed } = row;
    const end = Math.max(Number(size), Number(stored));
    return { size: Number(size), stored: Number(stored), tree: Number(tree), signed: Number(signed), first: 0, end };
  }

  async *pages(from: number, to: number, tree: number): AsyncGenerator<LogPage> {
    const ask = (at: number) => (at < to ? this.#page(at, Math.min(at + PAGE, to), tree) : null);
    // One page ahead: the server reads while we hash.
    let ahead = ask(from);
    for (let at = from; ahead !== null; at += PAGE) {
      const page = await ahead;
      ahead = ask(at + PAGE);
      ahead?.catch(() => undefined);
      yield page;
    }
  }

  async #page(from: number, to: number, tree: number): Promise<LogPage> {
    const entries = this.#ask<EntryRow>({ text: ENTRIES, values: [from, to], rowMode: 'array' });
    const leaves = this.#leaves(from, to);
    const nodes = this.#ask<NodeRow>({ text: NODES, values: [from, Math.min(to, tree)] });
    const [rows, hashes, runs] = await Promise.all([entries, leaves, nodes]);
    return { from, to, rows: merged(from, to, rows, hashes), nodes: runs.map(runOf) };
  }

  /** By place. Read as one value where none is missing: a row for each would cost as much as the records do. */
  async #leaves(from: number, to: number): Promise<(seq: number) => Uint8Array | null> {
    const [run] = await this.#ask<{ count: string; hashes: Buffer | null }>({ text: LEAF_RUN, values: [from, to] });
    const hashes = run?.hashes;
    if (Number(run?.count) === to - from && hashes?.length === (to - from) * HASH_BYTES) {
      return (seq) => hashes.subarray((seq - from) * HASH_BYTES, (seq - from + 1) * HASH_BYTES);
    }
    const rows = await this.#ask<{ seq: string; hash: Buffer }>({ text: LEAVES, values: [from, to] });
    const known = new Map(rows.map(({ seq, hash }) => [Number(seq), hash]));
    return (seq) => known.get(seq) ?? null;
  }

  async *checkpoints(from: number): AsyncGenerator<StoredCheckpoint> {
    for (let at = from; ; ) {
      const rows = await this.#ask<{ size: string; root: Buffer; note: string }>({
        text: 'SELECT size, root, note FROM strongroom.checkpoint WHERE size >= $1 ORDER BY size LIMIT $2',
        values: [at, CHECKPOINT_PAGE],
      });
      for (const { size, root, note } of rows) yield { size: Number(size), root, note };
      if (rows.length < CHECKPOINT_PAGE) return;
      at = Number(rows.at(-1)?.size) + 1;
    }
  }

  readonly readNode = async (level: number, index: number): Promise<Uint8Array> => {
    const [row] = await this.#ask<{ hash: Buffer }>(
      level === 0
        ? { text: 'SELECT hash FROM strongroom.leaf WHERE seq = $1', values: [index] }
        : {
            text: 'SELECT hash FROM strongroom.tree_node WHERE index = $1 AND level = $2',
            values: [index, level],
          },
    );
    if (row === undefined) throw new LostNode(level, index);
    return row.hash;
  };

  async openIntents() {
    const rows = await this.#ask<{ seq: string; event_id: string }>({
      text: 'SELECT seq, event_id FROM strongroom.open_intent',
    });
    return rows.map(({ seq, event_id: eventId }) => ({ seq: Number(seq), eventId }));
  }

  async settledSince({ eventId, request }: { eventId: string; request: string | null }, seq: number): Promise<boolean> {
    const rows = await this.#ask({
      text: `SELECT FROM strongroom.entry
             WHERE request_id = $1 AND seq >= $2 AND kind = 'outcome' AND record::json->'event'->>'intent' = $3 LIMIT 1`,
      values: [request, seq, eventId],
    });
    return rows.length === 1;
  }

  async lastDrop() {
    const [row] = await this.#ask<{ record: string }>({
      text: `SELECT e.record FROM strongroom.entry e WHERE e.action = $1
               AND e.seq >= (SELECT max(d.announced) FROM strongroom.dropped_range d) ORDER BY e.seq LIMIT 1`,
      values: [DROP_ACTION],
    });
    return row?.record ?? null;
  }

  async rotations() {
    return rotationsOf(await this.registeredKeys());
  }

  async registeredKeys() {
    const rows = await this.#ask<{ origin: string; public_key: Buffer; from_size: string; note: string | null }>({
      text: 'SELECT origin, public_key, from_size, note FROM strongroom.signing_key ORDER BY from_size, registered_at',
    });
    return rows.map((row) => ({
      origin: row.origin,
      publicKey: row.public_key,
      after: Number(row.from_size),
      note: row.note,
    }));
  }
}

type EntryRow = [
  seq: string,
  at: string,
  kind: string,
  actor: string,
  action: string,
  resource: string,
  outcome: string,
  requestId: string | null,
  eventId: string,
  record: string,
];

// One partition after the other, without a join or a sort: half of the server's time.
const ENTRIES = `
  SELECT seq, at::text, kind, actor, action, resource, outcome, request_id, event_id, record
  FROM strongroom.entry WHERE seq >= $1 AND seq < $2 ORDER BY seq`;
const LEAF_RUN = `
  SELECT count(*), string_agg(hash, ''::bytea) AS hashes
  FROM (SELECT hash FROM strongroom.leaf WHERE seq >= $1 AND seq < $2 ORDER BY seq) l`;
const LEAVES = 'SELECT seq, hash FROM strongroom.leaf WHERE seq >= $1 AND seq < $2';

/** Each place of which anything is stored. */
function merged(from: number, to: number, entries: EntryRow[], leafOf: (seq: number) => Uint8Array | null): LogRow[] {
  const rows: LogRow[] = [];
  let next = 0;
  for (let seq = from; seq < to; seq++) {
    const leaf = leafOf(seq);
    let bodies = 0;
    // More than one, where somebody took the primary key away.
    for (let row = entries[next]; row !== undefined && Number(row[0]) === seq; row = entries[++next]) {
      rows.push(rowOf(seq, row, leaf));
      bodies++;
    }
    if (bodies === 0 && leaf !== null) rows.push({ seq, columns: null, record: null, leaf });
  }
  return rows;
}

function rowOf(seq: number, row: EntryRow, leaf: Uint8Array | null): LogRow {
  const [, at, kind, actor, action, resource, outcome, request_id, eventId, record] = row;
  return {
    seq,
    columns: { seq, at: instantOf(at), kind, actor, action, resource, outcome, request_id, eventId },
    record,
    leaf,
  };
}

/** `2026-11-29 11:50:47.12+00` as a record says it; what is no such time stays as it is. */
function instantOf(text: string): string {
  if (text[10] !== ' ' || !text.endsWith('+00')) return text;
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${text.slice(20, -3).padEnd(6, '0')}Z`;
}

interface NodeRow {
  level: number;
  first: string | null;
  hashes: Buffer | null;
}

/** All levels that a bigint can number, each with the nodes whose last leaf stands in the page. */
const NODES = `
  SELECT g.level, n.first, n.hashes FROM generate_series(1, 62) AS g (level),
  LATERAL (SELECT min(t.index) AS first, string_agg(t.hash, ''::bytea ORDER BY t.index) AS hashes
           FROM strongroom.tree_node t
           WHERE t.level = g.level AND t.index >= $1::bigint >> g.level AND t.index < $2::bigint >> g.level) n`;

const runOf = ({ level, first, hashes }: NodeRow): NodeRun => ({
  level,
  first: first === null ? null : Number(first),
  hashes: hashes ?? new Uint8Array(0),
});
