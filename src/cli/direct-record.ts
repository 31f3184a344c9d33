import { randomUUID } from 'node:crypto';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import type { Config } from '#config/schema.ts';
import { openDatabase, tlsOf } from '#gateway-database.ts';
import { systemClock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';

/** A recorder of a command's own, as an instance of its own; it is flushed and closed with `stack`. */
export function directRecorder(stack: AsyncDisposableStack, pool: GuardedPool, zone: string, log: Log): AuditRecorder {
  const commit = batchCommitter(pool, `cli_${randomUUID().replaceAll('-', '')}`, zone);
  const ledger = stack.use(new Ledger({ commit, clock: systemClock, log, voidOf }));
  return stack.use(new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log }));
}

/** What a command that goes straight to the database works with; closed with `stack`. */
export async function openDirect(
  stack: AsyncDisposableStack,
  { config, base }: { readonly config: Config; readonly base: string },
): Promise<{ readonly pool: GuardedPool; readonly recorder: AuditRecorder; readonly log: Log }> {
  const log = pinoLog('warn');
  const database = stack.use(await openDatabase(config, base, log));
  const pool = stack.use(
    openPool(database.urls.runtime, { applicationName: 'strongroom-cli', max: 2, log, ...tlsOf(database.urls) }),
  );
  return { pool, recorder: directRecorder(stack, pool, config.quota.timeZone, log), log };
}
