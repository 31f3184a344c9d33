import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { loginOf, openConnection, sqlStateOf } from '#postgres/connection.ts';
import { startEmbedded } from '#postgres/embedded.ts';
import { migrate, pendingMigrations } from '#postgres/migrate.ts';
import { openPool } from '#postgres/pool.ts';
import { checkRuntimeLogin, type Separation } from '#postgres/separation.ts';

/** Folder of this program: where migrations, policies, the built portal and the built-in model lie. */
export const PROGRAM = resolve(import.meta.dirname, '..');
export const MIGRATIONS = join(PROGRAM, 'migrations');

/** Database addresses with their passwords; never logged. */
export interface DatabaseUrls {
  readonly runtime: string;
  readonly auditor: string;
  readonly migrate: string | null;
  /** Reads the whole log and serves nothing. */
  readonly verifier: string | null;
  /** Extends the tree and publishes checkpoints. */
  readonly signer: string;
  readonly caFile: string | undefined;
}

export interface OpenDatabase extends AsyncDisposable {
  readonly urls: DatabaseUrls;
  readonly embedded: boolean;
  readonly separation: Separation;
}

/**
 * The configured database, or the embedded one. The embedded one is migrated here; one of the customer's own only by
 * `strongroom db migrate`.
 *
 * @throws Error when it is not migrated, or set up in a way that promises could not be kept on.
 */
export async function openDatabase(config: Config, base: string, log: Log): Promise<OpenDatabase> {
  const configured = await configuredUrls(config, base);
  const embedded = configured === null ? await startEmbedded({ dataDir: resolve(base, config.dataDir), log }) : null;
  const urls = configured ?? {
    runtime: embedded?.runtimeUrl ?? '',
    auditor: embedded?.auditorUrl ?? '',
    migrate: embedded?.migrateUrl ?? '',
    verifier: embedded?.migrateUrl ?? '',
    signer: embedded?.signerUrl ?? '',
    caFile: undefined,
  };
  try {
    if (embedded !== null) await migrateDatabase(urls, log);
    const separation = await checkLogins(urls);
    return { urls, embedded: embedded !== null, separation, [Symbol.asyncDispose]: async () => embedded?.stop() };
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

/**
 * A store whose failures are the database's: the caller is told 503, as for everything that can't be recorded. What
 * Postgres says of a statement of ours stays a fault of ours.
 */
export function orUnavailable<T extends object>(store: T): T {
  const guard =
    (method: (...args: unknown[]) => Promise<unknown>) =>
    async (...args: unknown[]): Promise<unknown> => {
      try {
        return await method(...args);
      } catch (cause) {
        if (cause instanceof Problem || /^(2[23]|42)/.test(sqlStateOf(cause) ?? '')) throw cause;
        throw new Problem('audit_unavailable', { retryAfter: 1 }, cause);
      }
    };
  return Object.fromEntries(Object.entries(store).map(([name, method]) => [name, guard(method)])) as T;
}

/** The addresses that the configuration names, or null where it names none. */
export async function configuredUrls({ database }: Config, base: string): Promise<DatabaseUrls | null> {
  const read = async (file: string | undefined) =>
    file === undefined ? null : (await readFile(resolve(base, file), 'utf8')).trim();
  const runtime = database.url ?? (await read(database.urlFile));
  if (runtime === null) return null;
  return {
    runtime,
    auditor: (await read(database.auditorUrlFile)) ?? runtime,
    migrate: await read(database.migrateUrlFile),
    verifier: await read(database.verifierUrlFile ?? database.migrateUrlFile),
    signer: (await read(database.signerUrlFile)) ?? runtime,
    caFile: database.caFile === undefined ? undefined : resolve(base, database.caFile),
  };
}

/** `strongroom db migrate`. @throws Error without a login that may migrate. */
export function migrateDatabase(urls: DatabaseUrls, log: Log) {
  if (urls.migrate === null) throw new Error('database.migrateUrlFile is needed to migrate');
  const [runtimeLogin, auditorLogin, signerLogin] = [urls.runtime, urls.auditor, urls.signer].map(loginOf);
  return migrate({
    url: urls.migrate,
    directory: MIGRATIONS,
    log,
    runtimeLogin,
    ...(auditorLogin === runtimeLogin ? {} : { auditorLogin }),
    ...(signerLogin === runtimeLogin ? {} : { signerLogin }),
    ...(urls.verifier === null || urls.verifier === urls.migrate ? {} : { verifierLogin: loginOf(urls.verifier) }),
    ...tlsOf(urls),
  });
}

/** What a connection to these needs besides its address. */
export const tlsOf = ({ caFile }: DatabaseUrls) => (caFile === undefined ? {} : { caFile });

async function checkLogins(urls: DatabaseUrls): Promise<Separation> {
  const check = async (url: string) => {
    const client = await openConnection(url, { applicationName: 'strongroom-start', ...tlsOf(urls) });
    try {
      const pending = await pendingMigrations(client, MIGRATIONS);
      if (pending.length > 0) throw new Error('the database is not up to date: run `strongroom db migrate`');
      return (await checkRuntimeLogin(client)).separation;
    } finally {
      await client.end();
    }
  };
  const found = await Promise.all([...new Set([urls.runtime, urls.auditor, urls.signer])].map(check));
  return found.includes('reduced') ? 'reduced' : 'full';
}

/** The log has connections of its own: a slow search never stands in front of an admission. */
export function openPools({ urls }: OpenDatabase, { database }: Config, log: Log) {
  const { commitTimeoutMs } = database;
  const common = { log, ...(urls.caFile === undefined ? {} : { caFile: urls.caFile }) };
  const prompt = {
    ...common,
    statementTimeoutMs: commitTimeoutMs,
    queryTimeoutMs: commitTimeoutMs + 500,
    connectTimeoutMs: 2000,
  };
  return {
    commit: openPool(urls.runtime, { ...prompt, applicationName: 'strongroom-commit', max: 2 }),
    read: openPool(urls.runtime, { ...prompt, applicationName: 'strongroom-read', max: 6 }),
    auditor: openPool(urls.auditor, {
      ...common,
      applicationName: 'strongroom-auditor',
      max: 4,
      statementTimeoutMs: 30_000,
      queryTimeoutMs: 31_000,
    }),
  };
}
