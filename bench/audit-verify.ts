import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { openEstate } from '../test/fakes/ledger-estate.ts';
import { newSigner, sign } from '../test/fakes/signed-log.ts';
import { testCluster } from '../test/harness/postgres.ts';

const STEP = 50_000;
const PADDING = 'ab'.repeat(300);

/**
 * `audit verify` over a log of many records (goals.md, `audit`): records a second and memory. The records are laid in by
 * SQL as `commit_batch` would write them: half intents, half outcomes of 900 bytes.
 */
export async function runAuditVerify(args: readonly string[]): Promise<void> {
  const count = Number(args[0] ?? 1_000_000);
  await using cluster = await testCluster();
  await using estate = await openEstate(cluster);
  const { dba, value } = estate;
  const signer = newSigner();
  await dba.query('UPDATE tree SET epoch = 1');
  await dba.query('SELECT cover_log($1)', [count]);
  for (let from = 0; from < count; from += STEP) {
    await dba.query(
      `WITH e AS (
         SELECT s AS seq, '2026-01-01T00:00:00Z'::timestamptz + s * interval '7 milliseconds' AS at, s % 2 = 0 AS intent,
                md5((s / 2)::text)::uuid AS pair, 'req_' || (s / 2) AS request
         FROM generate_series($1::bigint, $2::bigint - 1) s
       ), r AS (
         SELECT e.*, '{"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","event":{"action":"infer","actor":"usr_0"'
           || CASE WHEN intent THEN '' ELSE ',"facts":"${PADDING}","intent":"' || pair || '"' END
           || ',"kind":"' || CASE WHEN intent THEN 'intent' ELSE 'outcome' END || '","outcome":"'
           || CASE WHEN intent THEN 'admitted' ELSE 'completed' END || '","request":"' || request
           || '","resource":"model:demo"},"seq":' || seq || ',"v":1}' AS record FROM e
       ), i AS (
         INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
           SELECT seq, at, CASE WHEN intent THEN pair ELSE gen_random_uuid() END, CASE WHEN intent THEN 'intent' ELSE 'outcome' END,
                  'usr_0', 'infer', 'model:demo', CASE WHEN intent THEN 'admitted' ELSE 'completed' END, request, record FROM r
       )
       INSERT INTO leaf SELECT seq, sha256('\\x00'::bytea || convert_to(record, 'UTF8')) FROM r`,
      [from, Math.min(count, from + STEP)],
    );
    await dba.query('UPDATE head SET size = $1', [Math.min(count, from + STEP)]);
    await dba.query('SELECT extend_tree(1, $1)', [STEP]);
    await sign(estate, signer);
  }
  await dba.query('CHECKPOINT');
  console.log(`${await value('SELECT count(*) FROM leaf')} records are laid in`);

  let peak = 0;
  const look = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const before = process.memoryUsage.rss();
  const startedAt = performance.now();
  await using source = await openPostgresLog(estate.database.migrateUrl);
  const result = await verifyLog({ source, crypto: nodeCrypto, key: signer, progress: look });
  const seconds = (performance.now() - startedAt) / 1000;
  console.log({
    ok: result.ok,
    first: result.first,
    records: result.records,
    checkpoints: result.checkpoints,
    seconds: Math.round(seconds * 10) / 10,
    perSecond: Math.round(result.records / seconds),
    rssBeforeMiB: Math.round(before / 2 ** 20),
    rssPeakMiB: Math.round(peak / 2 ** 20),
  });
}
