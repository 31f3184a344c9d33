import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { rootOf } from '#audit/merkle.shared.ts';
import { signNote } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import { postgresRetention } from '#audit/retention.postgres.ts';
import { retain } from '#audit/retention.service.ts';
import type { RetentionReport } from '#audit/retention.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { verifyLog } from '#audit/verify.service.ts';
import type { Config } from '#config/schema.ts';
import { systemClock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { ROLES } from '#postgres/roles.ts';
import { openSigningKeys } from './gateway-audit.ts';
import type { OpenDatabase } from './gateway-database.ts';

export interface KeeperDeps {
  readonly config: Config;
  readonly base: string;
  readonly database: Pick<OpenDatabase, 'urls' | 'embedded'>;
  readonly log: Log;
}

/** What acts straight on the log's database, on record, in the keeper's role. */
export interface Keeper extends AsyncDisposable {
  readonly pool: GuardedPool;
  readonly recorder: AuditRecorder;
}

/** To count and drop a million bodies takes seconds; to wait for a lock is limited where it is taken. */
const PATIENCE = { statementTimeoutMs: 300_000, queryTimeoutMs: 310_000 };

/** @throws Error without a login that may be the keeper. */
export function openKeeper({ config, database, log }: KeeperDeps): Keeper {
  const { migrate: url, caFile } = database.urls;
  if (url === null) throw new Error('database.migrateUrlFile is needed: the login that may become strongroom_keeper');
  const options = { applicationName: 'strongroom-keeper', role: ROLES.keeper, max: 2, log, ...PATIENCE };
  const pool = openPool(url, { ...options, ...(caFile === undefined ? {} : { caFile }) });
  const commit = batchCommitter(pool, `cli_${randomUUID().replaceAll('-', '')}`, config.quota.timeZone);
  const ledger = new Ledger({ commit, clock: systemClock, log, voidOf });
  const recorder = new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log });
  return {
    pool,
    recorder,
    [Symbol.asyncDispose]: async () => {
      await recorder[Symbol.asyncDispose]();
      await ledger[Symbol.asyncDispose]();
      await pool.close();
    },
  };
}

/** One run of retention. @throws DropRefused where a record that would go is not what the tree says */
export async function runRetention(
  deps: KeeperDeps,
  facts: Readonly<Record<string, string>>,
): Promise<RetentionReport> {
  const { config, base, database, log } = deps;
  const { origin, retentionDays: days } = config.audit;
  const { verifier, caFile } = database.urls;
  if (verifier === null) throw new Error('database.verifierUrlFile is needed: what goes is verified before');
  await using keeper = openKeeper(deps);
  const { pool, recorder } = keeper;
  const { signer } = await openSigningKeys({ config, base, database, pool });
  const { readNode } = postgresTree(pool);
  return await retain({
    store: postgresRetention(pool),
    change: recorder.change.bind(recorder),
    fault: async (range) => {
      await using source = await openPostgresLog(verifier, caFile === undefined ? {} : { caFile });
      const { ok, first } = await verifyLog({ source, crypto: nodeCrypto, key: signer }, range);
      return ok ? null : `seq ${first?.seq}: ${first?.detail}`;
    },
    rootAt: async (size) => rootOf(nodeCrypto.sha256, size, readNode),
    sign: (text) => signNote(nodeCrypto.sha256, text, signer),
    origin,
    days,
    facts,
    pause: (ms) => sleep(ms),
    log,
  });
}

const DAY_MS = 86_400_000;
const FIRST_MS = 60_000;

/** With the embedded database there is nobody else to do it: a minute after the start and then daily. */
export function startRetention(deps: KeeperDeps): AsyncDisposable {
  let running = Promise.resolve();
  const run = () => {
    running = runRetention(deps, { by: 'gateway' }).then(
      ({ dropped }) => dropped.length > 0 && deps.log.info('old bodies were dropped', { count: dropped.length }),
      (error: unknown) => deps.log.error('retention failed and is tried again tomorrow', { error }),
    ) as Promise<void>;
  };
  const timers = [setTimeout(run, FIRST_MS), setInterval(run, DAY_MS)];
  for (const timer of timers) timer.unref();
  return {
    [Symbol.asyncDispose]: () => {
      for (const timer of timers) clearTimeout(timer);
      return running;
    },
  };
}
