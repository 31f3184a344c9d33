import type { Signer } from '#audit/note.shared.ts';
import { openConnection } from '#postgres/connection.ts';
import type { Estate } from '../test/fakes/ledger-estate.ts';
import { sign } from '../test/fakes/signed-log.ts';

export interface BigLogOptions {
  readonly count: number;
  /** The records are spread evenly over so many days up to now. */
  readonly days: number;
  /** Grows and signs the tree as well. */
  readonly signer: Signer | null;
}

const STEP = 10_000;
/** What stands in a real outcome besides: digests, commitments, timings. */
const PADDING = 'ab'.repeat(280);

/** Users by rank: a few ask most, as everywhere. The most frequent asks a seventh of all. */
export const USERS = 1000;

/**
 * Lays a year's kind of traffic into the log by SQL, as `commit_batch` would write it: of 1,000 records 950 are intents
 * and outcomes of answers by 1,000 users on three models, the others denials, sign-ins, auditors' reads, changes.
 */
export async function layLog(estate: Estate, { count, days, signer }: BigLogOptions): Promise<void> {
  const { dba, value } = estate;
  await dba.query('UPDATE tree SET epoch = 1');
  await dba.query('SELECT cover_log($1)', [count]);
  await dba.query(
    `INSERT INTO actor_name SELECT 'usr_' || n, 'user-' || n FROM generate_series(0, $1::int - 1) n ON CONFLICT DO NOTHING`,
    [USERS],
  );
  const start = await value<string>(`SELECT (now() - $1 * interval '1 day')::text`, [days]);
  const stepSeconds = (days * 86_400) / count;
  for (let from = 0; from < count; from += STEP) {
    const to = Math.min(count, from + STEP);
    await dba.query(LAY, [from, to, start, stepSeconds, USERS, PADDING]);
    await dba.query('UPDATE head SET size = $1::bigint, last_at = (SELECT at FROM entry WHERE seq = $1::bigint - 1)', [
      to,
    ]);
    if (signer !== null) await sign(estate, signer);
  }
  // As long as it takes.
  const client = await openConnection(estate.database.superuserUrl, {
    applicationName: 'bench',
    statementTimeoutMs: 300_000,
    queryTimeoutMs: 310_000,
  });
  await client.query('ANALYZE entry; CHECKPOINT');
  await client.end();
}

/** `$1` first seq, `$2` end, `$3` first time, `$4` seconds from one to the next, `$5` users, `$6` padding. */
const LAY = `
  WITH s AS (
    SELECT s AS seq, s / 2 AS pair, s % 2 = 0 AS first,
           (hashint8(s / 2)::bigint + 2147483648) % 1000 AS kind, (hashint8(s / 2 + 7)::bigint + 2147483648) % 1000000 AS luck,
           (hashint8(s / 2 + 13)::bigint + 2147483648) % 1000 AS model
    FROM generate_series($1::bigint, $2::bigint - 1) s
  ), e AS (
    SELECT seq, pair, first, $3::timestamptz + seq * $4::float8 * interval '1 second' AS at,
           -- Rank by a power law: floor(users ^ u) for u in [0, 1).
           CASE WHEN kind >= 999 THEN 'usr_admin' ELSE 'usr_' || floor($5::float8 ^ (luck / 1e6) - 1) END AS actor,
           CASE WHEN kind < 950 THEN 'infer' WHEN kind < 960 THEN 'infer' WHEN kind < 993 THEN 'session.start'
                WHEN kind < 999 THEN 'audit.read' ELSE 'users.update' END AS action,
           CASE WHEN kind < 960 THEN 'model:' || CASE WHEN model < 700 THEN 'general' WHEN model < 990 THEN 'code' ELSE 'legal' END
                WHEN kind < 993 THEN 'session:own' WHEN kind < 999 THEN 'audit:events' ELSE 'account:usr_' || (pair % 50) END AS resource,
           CASE WHEN kind < 950 THEN CASE WHEN first THEN 'intent' ELSE 'outcome' END WHEN kind < 960 THEN 'denial'
                WHEN kind < 993 THEN 'sign-in' WHEN kind < 999 THEN CASE WHEN first THEN 'intent' ELSE 'outcome' END ELSE 'change' END AS kind,
           CASE WHEN kind < 950 OR kind >= 993 AND kind < 999 THEN CASE WHEN first THEN 'admitted' WHEN model % 100 = 0 THEN 'client_closed' ELSE 'completed' END
                WHEN kind < 960 THEN 'denied' WHEN kind < 963 THEN 'refused' ELSE 'completed' END AS outcome,
           'req_' || md5(pair::text) AS request
    FROM s
  ), r AS (
    SELECT e.*, CASE WHEN kind = 'intent' THEN md5('i' || pair)::uuid ELSE md5('o' || seq)::uuid END AS event_id,
      '{"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","event":{"action":"' || action || '","actor":"' || actor || '"'
      || CASE WHEN kind = 'outcome' THEN ',"facts":"' || $6 || '","intent":"' || md5('i' || pair)::uuid || '"' ELSE ',"facts":"' || left($6, 200) || '"' END
      || ',"kind":"' || kind || '","outcome":"' || outcome || '","request":"' || request || '","resource":"' || resource
      || '"},"seq":' || seq || ',"v":1}' AS record FROM e
  ), i AS (
    INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
      SELECT seq, date_trunc('microseconds', at), event_id, kind, actor, action, resource, outcome, request, record FROM r ORDER BY seq
  )
  INSERT INTO leaf SELECT seq, sha256('\\x00'::bytea || convert_to(record, 'UTF8')) FROM r ORDER BY seq`;
