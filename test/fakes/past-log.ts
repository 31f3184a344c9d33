import { setTimeout as sleep } from 'node:timers/promises';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { rootOf } from '#audit/merkle.shared.ts';
import { type Signer, signNote } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import { postgresRetention } from '#audit/retention.postgres.ts';
import { type RetentionDeps, retain } from '#audit/retention.service.ts';
import type { RetentionReport } from '#audit/retention.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { ROLES } from '#postgres/roles.ts';
import type { Estate } from './ledger-estate.ts';

/** Records of another day, as `commit_batch` would have made them then: a day apart at most, each with an opening. */
export async function pastRecords(estate: Estate, count: number, daysAgo: number, actor = 'usr_0'): Promise<void> {
  await estate.dba.query(
    `WITH r AS (
       SELECT h.size + n AS seq, clock_timestamp() - make_interval(days => $2) + n * interval '1 ms' AS at
       FROM head h, generate_series(0, $1::int - 1) n
     ), t AS (
       SELECT r.*, '{"at":"' || to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
         || '","event":{"action":"note","actor":"' || $3 || '","kind":"system","outcome":"completed","request":null,"resource":"x:1"},"seq":'
         || r.seq || ',"v":1}' AS record FROM r
     ), e AS (
       INSERT INTO entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
       SELECT seq, at, gen_random_uuid(), 'system', $3, 'note', 'x:1', 'completed', NULL, record FROM t
     ), l AS (
       INSERT INTO leaf SELECT seq, sha256('\\x00'::bytea || convert_to(record, 'UTF8')) FROM t
     ), o AS (
       INSERT INTO opening SELECT seq, sha256(convert_to(seq::text, 'UTF8')) FROM t
     )
     UPDATE head SET size = size + $1, last_at = (SELECT max(at) FROM t)`,
    [count, daysAgo, actor],
  );
}

/** What the keeper at the command line has. */
export interface TestKeeper extends AsyncDisposable {
  readonly pool: GuardedPool;
  readonly recorder: AuditRecorder;
  retain(change?: Partial<RetentionDeps>): Promise<RetentionReport>;
}

export function openTestKeeper(estate: Estate, signer: Signer): TestKeeper {
  const { migrateUrl } = estate.database;
  const pool = openPool(migrateUrl, { applicationName: 'keeper', role: ROLES.keeper, log: silentLog });
  const commit = batchCommitter(pool, 'keeper', 'UTC');
  const ledger = new Ledger({ commit, clock: systemClock, log: silentLog, voidOf });
  const recorder = new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log: silentLog });
  const { readNode } = postgresTree(pool);
  return {
    pool,
    recorder,
    retain: (change = {}) =>
      retain({
        store: postgresRetention(pool),
        change: recorder.change.bind(recorder),
        fault: async (range) => {
          await using source = await openPostgresLog(migrateUrl);
          const { first } = await verifyLog({ source, crypto: nodeCrypto, key: signer }, range);
          return first && `${first.kind} ${first.seq}`;
        },
        rootAt: async (size) => rootOf(nodeCrypto.sha256, size, readNode),
        sign: (text) => signNote(nodeCrypto.sha256, text, signer),
        origin: signer.name,
        days: 400,
        facts: {},
        pause: (ms) => sleep(ms / 100),
        log: silentLog,
        ...change,
      }),
    [Symbol.asyncDispose]: async () => {
      await recorder[Symbol.asyncDispose]();
      await ledger[Symbol.asyncDispose]();
      await pool.close();
    },
  };
}
