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
import type { Log } from '#kernel/log.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';

/** A recorder of a command's own, as an instance of its own; it is flushed and closed with `stack`. */
export function directRecorder(stack: AsyncDisposableStack, pool: GuardedPool, zone: string, log: Log): AuditRecorder {
  const commit = batchCommitter(pool, `cli_${randomUUID().replaceAll('-', '')}`, zone);
  const ledger = stack.use(new Ledger({ commit, clock: systemClock, log, voidOf }));
  return stack.use(new AuditRecorder({ submit: ledger.submit.bind(ledger), clock: systemClock, log }));
}

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
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase(config, base, log));
  const pool = stack.use(openPool(database.urls.runtime, { applicationName: 'strongroom-cli', max: 2, log }));
  const recorder = directRecorder(stack, pool, config.quota.timeZone, log);
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
