import { userInfo } from 'node:os';
import { SYSTEM } from '#audit/event.ts';
import { loadConfig } from '#config/load.ts';
import { configuredUrls, migrateDatabase } from '#gateway-database.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { printRoles } from '#postgres/migrate.ts';
import { openDirect } from './direct-record.ts';
import type { Invocation } from './verbs.ts';

/** `db migrate`: forward only; several may run at once. That it changed something goes on the record. */
export async function migrateCommand({ json, options }: Invocation): Promise<number> {
  if (options['print-roles'] === true) {
    process.stdout.write(printRoles());
    return 0;
  }
  const { config, base } = loadConfig();
  const urls = await configuredUrls(config, base);
  if (urls === null) throw new Error('no database is configured; the embedded one is migrated by `strongroom serve`');
  const { applied, version } = await migrateDatabase(urls, pinoLog(config.log.level));
  if (applied.length > 0) {
    // Through the runtime's login, which the migrations have just let in: the one that migrates writes no record.
    await using stack = new AsyncDisposableStack();
    const { recorder } = await openDirect(stack, { config, base });
    await recorder.record({
      kind: 'system',
      actor: SYSTEM,
      action: 'database.migrate',
      resource: 'database:schema',
      outcome: 'completed',
      request: null,
      facts: { version, applied: applied.length, os_user: userInfo().username },
    });
  }
  if (json)
    process.stdout.write(`${JSON.stringify({ ok: true, version, applied: applied.map(({ name }) => name) })}\n`);
  else process.stdout.write(`The database is at version ${version}; ${applied.length} migrations were applied.\n`);
  return 0;
}
