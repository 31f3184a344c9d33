import type { GuardedPool } from '#postgres/pool.ts';
import { inTransaction } from '#postgres/transaction.ts';
import type { AuditReader, EventFilter, StoredEvent } from './audit.ts';

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

const COLUMNS = `e.seq, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, e.kind, e.actor,
  n.name AS actor_name, e.action, e.resource, e.outcome, e.request_id`;
const FROM = 'FROM strongroom.entry e LEFT JOIN strongroom.actor_name n ON n.actor = e.actor';

/** Filter to SQL condition; the values travel as parameters only. */
const CONDITIONS = {
  from: 'e.at >= ?::timestamptz',
  to: 'e.at < ?::timestamptz',
  // By id or by name; two accounts may have had one name, and a name may look like an id.
  actor: 'e.actor = ANY (ARRAY(SELECT a.actor FROM strongroom.actor_name a WHERE a.name = ? UNION ALL SELECT ?))',
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
        const { text, values } = pageQuery(filter);
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
  };
}

function pageQuery(filter: EventFilter): { text: string; values: unknown[] } {
  const values: unknown[] = [];
  const conditions = ['true'];
  for (const [name, condition] of Object.entries(CONDITIONS)) {
    const value = filter[name as keyof typeof CONDITIONS];
    if (value === undefined) continue;
    values.push(value);
    conditions.push(condition.replaceAll('?', `$${values.length}`));
  }
  values.push(filter.limit);
  return {
    text: `SELECT ${COLUMNS} ${FROM} WHERE ${conditions.join(' AND ')} ORDER BY e.seq DESC LIMIT $${values.length}`,
    values,
  };
}

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
