import type { GuardedPool, Queryable } from '#postgres/pool.ts';
import { inTransaction } from '#postgres/transaction.ts';
import type { AuditReader, EventFilter, Narrowed, StoredEvent } from './audit.ts';
import type { WholeRow } from './export-lines.ts';

interface EventRow {
  seq: string;
  at: string;
  kind: string;
  actor: string;
  actor_name: string | null;
  action: string;
  resource: string;
  outcome: string;
  request_id: string | null;
}
interface RecordRow extends EventRow {
  record: string;
  leaf: string;
}

interface WholeRowText extends EventRow {
  event_id: string;
  record: string;
  hash: Buffer;
}

const COLUMNS = `e.seq, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, e.kind, e.actor,
  n.name AS actor_name, e.action, e.resource, e.outcome, e.request_id`;
const FROM = 'FROM strongroom.entry e LEFT JOIN strongroom.actor_name n ON n.actor = e.actor';

/** Filter to SQL condition; the values travel as parameters only. */
const CONDITIONS = {
  action: 'e.action = ?',
  resource: 'e.resource = ?',
  outcome: 'e.outcome = ?',
  request_id: 'e.request_id = ?',
  cursor: 'e.seq < ?::bigint',
} as const;

const AS_AUDITOR = { role: 'strongroom_auditor', readOnly: true } as const;

export function postgresAuditReader(pool: GuardedPool): AuditReader {
  return {
    page: (filter) =>
      inTransaction(pool, AS_AUDITOR, async (client) => {
        const narrowed = await narrow(client, filter);
        if (narrowed === null) return [];
        const { text, values } = pageQuery(filter, narrowed);
        const { rows } = await client.query<EventRow>(text, values);
        return rows.map(eventOf);
      }),
    find: (seq) =>
      inTransaction(pool, AS_AUDITOR, async (client) => {
        const { rows } = await client.query<RecordRow>(
          `SELECT ${COLUMNS}, e.record, encode(l.hash, 'hex') AS leaf ${FROM} JOIN strongroom.leaf l ON l.seq = e.seq WHERE e.seq = $1::bigint`,
          [seq],
        );
        const [row] = rows;
        return row ? { ...eventOf(row), record: row.record, leaf: row.leaf } : null;
      }),
    narrow: (filter) => inTransaction(pool, AS_AUDITOR, (client) => narrow(client, filter)),
    rows: (filter, { actors }, from, to) =>
      inTransaction(pool, AS_AUDITOR, async (client) => {
        const { values, conditions } = conditionsOf(filter, String(from), String(to - 1), actors);
        const { rows } = await client.query<WholeRowText>(
          `SELECT ${COLUMNS}, e.event_id, e.record, l.hash FROM strongroom.entry e
           LEFT JOIN strongroom.actor_name n ON false JOIN strongroom.leaf l ON l.seq = e.seq
           WHERE ${conditions.join(' AND ')} ORDER BY e.seq LIMIT $${values.push(filter.limit)}`,
          values,
        );
        return rows.map(wholeRowOf);
      }),
  };
}

/**
 * Time as a range of seq, since `at` never runs backwards against it; names as ids. Asked beforehand, so that the planner
 * knows how much lies between: with sub-selects in their place it guessed, and sorted all of a week for one page. Only
 * ever narrows what the row-level security shows.
 */
const NARROW = `
  SELECT (SELECT y.seq FROM strongroom.entry y WHERE y.at >= greatest(now() - interval '7 days', $1::timestamptz)
          ORDER BY y.at, y.seq LIMIT 1) AS low,
         (SELECT o.seq FROM strongroom.entry o WHERE o.at < coalesce($2::timestamptz, 'infinity')
          ORDER BY o.at DESC, o.seq DESC LIMIT 1) AS high,
         -- By id or by name; two accounts may have had one name, and a name may look like an id.
         ARRAY(SELECT $3::text UNION SELECT a.actor FROM strongroom.actor_name a WHERE a.name = $3) AS actors`;

async function narrow(client: Queryable, { from, to, actor }: Omit<EventFilter, 'limit'>): Promise<Narrowed | null> {
  const { rows } = await client.query<{ low: string | null; high: string | null; actors: string[] }>(NARROW, [
    from ?? null,
    to ?? null,
    actor ?? null,
  ]);
  const [row] = rows;
  if (row === undefined || row.low === null || row.high === null) return null;
  return { low: row.low, high: row.high, actors: actor === undefined ? null : row.actors };
}

function conditionsOf(filter: EventFilter, low: string, high: string, actors: readonly string[] | null) {
  const values: unknown[] = [low, high];
  const conditions = ['e.seq >= $1::bigint', 'e.seq <= $2::bigint'];
  const add = (condition: string, value: unknown) => {
    values.push(value);
    conditions.push(condition.replaceAll('?', `$${values.length}`));
  };
  // With one value an index in the order of the pages is walked; with several all that they did is sorted.
  if (actors?.length === 1) add('e.actor = ?', actors[0]);
  else if (actors !== null) add('e.actor = ANY (?::text[])', actors);
  for (const [name, condition] of Object.entries(CONDITIONS)) {
    const value = filter[name as keyof typeof CONDITIONS];
    if (value !== undefined) add(condition, value);
  }
  return { values, conditions };
}

function pageQuery(filter: EventFilter, { low, high, actors }: Narrowed): { text: string; values: unknown[] } {
  const { values, conditions } = conditionsOf(filter, low, high, actors);
  values.push(filter.limit);
  return {
    text: `SELECT ${COLUMNS} ${FROM} WHERE ${conditions.join(' AND ')} ORDER BY e.seq DESC LIMIT $${values.length}`,
    values,
  };
}

const wholeRowOf = (row: WholeRowText): WholeRow => {
  const { at, kind, actor, action, resource, outcome, request_id, event_id: eventId, record, hash: leaf } = row;
  const seq = Number(row.seq);
  return { seq, columns: { seq, at, kind, actor, action, resource, outcome, request_id, eventId }, record, leaf };
};

const eventOf = (row: EventRow): StoredEvent => ({
  seq: row.seq,
  at: row.at,
  kind: row.kind,
  actor: row.actor,
  actorName: row.actor_name,
  action: row.action,
  resource: row.resource,
  outcome: row.outcome,
  requestId: row.request_id,
});
