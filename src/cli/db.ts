import { loadConfig } from '#config/load.ts';
import { configuredUrls, migrateDatabase } from '#gateway-database.ts';
import { pinoLog } from '#logging/log.pino.ts';
import { printRoles } from '#postgres/migrate.ts';
import type { Invocation } from './verbs.ts';

/** `db migrate`: forward only; several may run at once. */
export async function migrateCommand({ json, options }: Invocation): Promise<number> {
  if (options['print-roles'] === true) {
    process.stdout.write(printRoles());
    return 0;
  }
  const { config, base } = loadConfig();
  const urls = await configuredUrls(config, base);
  if (urls === null) throw new Error('no database is configured; the embedded one is migrated by `strongroom serve`');
  const { applied, version } = await migrateDatabase(urls, pinoLog(config.log.level));
  if (json)
    process.stdout.write(`${JSON.stringify({ ok: true, version, applied: applied.map(({ name }) => name) })}\n`);
  else process.stdout.write(`The database is at version ${version}; ${applied.length} migrations were applied.\n`);
  return 0;
}
