import { userInfo } from 'node:os';
import { SYSTEM } from '#audit/event.ts';
import { loadConfig } from '#config/load.ts';
import { openDatabase, openPools } from '#gateway-database.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { directRecorder } from './direct-record.ts';

/**
 * Puts on the record that somebody on this machine takes the log out of the database, before he does: what can't be
 * recorded does not happen. Through the runtime's login, since the one that reads everything writes nothing.
 */
export async function recordUse(
  action: string,
  facts: Readonly<Record<string, string | number | null>>,
): Promise<void> {
  const { config, base } = loadConfig();
  const log = pinoLog('error');
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase(config, base, log));
  const pools = openPools(database, config, log);
  stack.defer(() => Promise.all(Object.values(pools).map((pool) => pool.close())).then(() => undefined));
  const recorder = directRecorder(stack, pools.commit, config.quota.timeZone, log);
  await recorder.record({
    kind: 'system',
    actor: SYSTEM,
    action,
    resource: `log:${config.audit.origin}`,
    outcome: 'started',
    request: null,
    facts: { ...facts, operating_system_user: userInfo().username },
  });
}
