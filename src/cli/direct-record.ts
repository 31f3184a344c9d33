import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { batchCommitter } from '#admission/admission.postgres.ts';
import { Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { SYSTEM } from '#audit/event.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import type { Config } from '#config/schema.ts';
import { openDatabase } from '#gateway-database.ts';
import { systemClock } from '#kernel/clock.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { openPool } from '#postgres/pool.ts';

/**
 * Puts what a command does straight to the database's log, with the operating system's user. What can't be recorded
 * must not happen: callers act after this resolves.
 */
export async function recordDirectly(
  { config, base }: { readonly config: Config; readonly base: string },
  action: string,
  resource: string,
): Promise<void> {
  const log = pinoLog('warn');
  await using database = await openDatabase(config, base, log);
  await using pool = openPool(database.urls.runtime, { applicationName: 'strongroom-cli', max: 2, log });
  const commit = batchCommitter(pool, `cli_${randomUUID().replaceAll('-', '')}`, config.quota.timeZone);
  await using ledger = new Ledger({ commit, clock: systemClock, log, voidOf });
  await using recorder = new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log });
  await recorder.record({
    kind: 'change',
    actor: SYSTEM,
    action,
    resource,
    outcome: 'completed',
    request: null,
    facts: { os_user: userInfo().username },
  });
}
