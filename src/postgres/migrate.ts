import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { Log } from '#kernel/log.ts';
import { openConnection } from './connection.ts';
import { ensureRoles, type Logins, ROLES, SCHEMA } from './roles.ts';

export { printRoles } from './roles.ts';

export interface MigrateOptions extends Logins {
  /** A login with CREATEROLE and CREATE on the database; never the gateway's own. */
  readonly url: string;
  /** Folder with `NNNN-name.sql`, numbered from 0001 without gaps. */
  readonly directory: string;
  readonly log: Log;
  readonly caFile?: string;
}

export interface Migration {
  readonly number: number;
  readonly name: string;
  /** SHA-256 of the file's bytes, lower-case hex. */
  readonly sha256: string;
}

export interface MigrateResult {
  /** What this call applied, in order; empty when the database was up to date. */
  readonly applied: readonly Migration[];
  /** Number of the newest migration in the database. */
  readonly version: number;
}

interface MigrationFile extends Migration {
  readonly sql: string;
}

/** Fixed for ever: all releases must wait for each other. The ASCII bytes of "strongrm". */
const LOCK_KEY = '8319400234579358317';

/** Each migration may take long on a big log; another server that migrates is waited for as long. */
const PATIENCE_MS = 60 * 60 * 1000;

const TABLE = `${SCHEMA}.migration`;

/**
 * Brings the database to the version of this code, forward only, each migration in its own transaction as
 * {@link ROLES}.owner. Several processes may call this at once: one works, the others wait and find it done.
 *
 * @throws Error when an applied migration's file has changed, when the database is newer than this code, when the
 *   files are not numbered 1, 2, 3, …, or when the server is older than Postgres 16.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const files = await readMigrations(options.directory);
  const client = await openConnection(options.url, {
    applicationName: 'strongroom-migrate',
    statementTimeoutMs: PATIENCE_MS,
    queryTimeoutMs: PATIENCE_MS + 10_000,
    ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
  });
  try {
    await requireServerVersion(client);
    // Held by the session: it goes with the connection, however this process ends.
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
    await ensureRoles(client, options);
    await ensureTable(client);
    // Read under the lock: another process may have applied everything while this one waited.
    const done = await asOwner(client, () => readApplied(client));
    checkHistory(files, done);

    const applied: Migration[] = [];
    for (const file of files.slice(done.length)) {
      const startedAt = performance.now();
      await apply(client, file);
      applied.push({ number: file.number, name: file.name, sha256: file.sha256 });
      options.log.info('migration applied', {
        file: `${file.name}.sql`,
        seq: file.number,
        durationMs: Math.round(performance.now() - startedAt),
      });
    }
    return { applied, version: files.length };
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * The state of a database without changing it, for `doctor` and for a start that may not migrate.
 *
 * @throws Error as {@link migrate} does for a changed file or a database that is newer than this code.
 */
export async function pendingMigrations(client: Pick<Client, 'query'>, directory: string): Promise<Migration[]> {
  const files = await readMigrations(directory);
  const { rows } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [TABLE]);
  const done = rows[0]?.there === true ? await readApplied(client) : [];
  checkHistory(files, done);
  return files.slice(done.length).map(({ number, name, sha256 }) => ({ number, name, sha256 }));
}

async function readMigrations(directory: string): Promise<MigrationFile[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
      if (number !== index + 1) {
        throw new Error(`${name}: migrations are named NNNN-name.sql and numbered from 0001 without gaps`);
      }
      const bytes = await readFile(join(directory, name));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { number, name: name.slice(0, -'.sql'.length), sha256, sql: bytes.toString('utf8') };
    }),
  );
}

async function requireServerVersion(client: Client): Promise<void> {
  const { rows } = await client.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  // Memberships WITH SET and INHERIT, which keep the owner's rights inside migrations, came with 16.
  if ((rows[0]?.version ?? 0) < 160_000) throw new Error('Strongroom needs Postgres 16 or newer');
}

async function ensureTable(client: Client): Promise<void> {
  await asOwner(client, async () => {
    const { rows } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [TABLE]);
    if (rows[0]?.there === true) return;
    await client.query(`
      CREATE TABLE ${TABLE} (
        number     integer PRIMARY KEY CHECK (number > 0),
        name       text NOT NULL,
        sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      REVOKE ALL ON ${TABLE} FROM PUBLIC;
      GRANT USAGE ON SCHEMA ${SCHEMA} TO ${ROLES.app}, ${ROLES.auditor};
      GRANT SELECT ON ${TABLE} TO ${ROLES.app};
    `);
  });
}

async function readApplied(client: Pick<Client, 'query'>): Promise<Migration[]> {
  const { rows } = await client.query<Migration>(`SELECT number, name, sha256 FROM ${TABLE} ORDER BY number`);
  return rows;
}

function checkHistory(files: readonly MigrationFile[], done: readonly Migration[]): void {
  for (const [index, { number, name, sha256 }] of done.entries()) {
    const file = files[index];
    if (file === undefined) {
      throw new Error(
        `the database is newer than this release: it has migration ${name}, which this release does not know`,
      );
    }
    if (file.number !== number || file.sha256 !== sha256) {
      throw new Error(
        `migration ${file.name}.sql was changed after it had been applied as ${name}; put the original back and add a new one`,
      );
    }
  }
}

async function apply(client: Client, { number, name, sha256, sql }: MigrationFile): Promise<void> {
  try {
    // The record is part of the transaction: a migration and the knowledge of it stand or fall together.
    await asOwner(client, async () => {
      await client.query(sql);
      if (client.getTransactionStatus() !== 'T') throw new Error('a migration must not end its transaction');
      await client.query(`INSERT INTO ${TABLE} (number, name, sha256) VALUES ($1, $2, $3)`, [number, name, sha256]);
    });
  } catch (cause) {
    throw new Error(`migration ${name}.sql failed and was rolled back`, { cause });
  }
}

/** One transaction with the owner's rights, which this login has nowhere else. */
async function asOwner<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query(`BEGIN; SET LOCAL ROLE ${ROLES.owner}; SET LOCAL search_path TO ${SCHEMA}, pg_temp`);
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
