import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { accountForRoot, execute, type ServerAccount, SHARED_STATE } from './embedded-binaries.ts';

const MAJOR_VERSION = '18';

/** The database and the logins that an embedded cluster has. The superuser is used to make these and never again. */
export const EMBEDDED = {
  database: 'strongroom',
  superuser: 'strongroom_superuser',
  migrator: 'strongroom_migrator',
  runtime: 'strongroom_runtime',
  auditor: 'strongroom_auditor_login',
  signer: 'strongroom_signer_login',
} as const;

export type EmbeddedLogin = 'superuser' | 'migrator' | 'runtime' | 'auditor' | 'signer';

/** One cluster: where it lies and who may enter. Kept in `postgres.json` of the data folder, mode 0600. */
export interface Cluster {
  /** Absolute folder that holds `data/`, the server's log and its last port. */
  readonly home: string;
  readonly passwords: Readonly<Record<EmbeddedLogin, string>>;
  /** True once the database and the logins exist; from then on a missing `data/` is a loss and not a first run. */
  readonly prepared: boolean;
}

export const dataFolder = (cluster: Cluster): string => join(cluster.home, 'data');

export function loginUrl(cluster: Cluster, login: EmbeddedLogin, port: number, database: string = EMBEDDED.database) {
  return `postgres://${EMBEDDED[login]}:${cluster.passwords[login]}@127.0.0.1:${port}/${database}`;
}

/** The cluster of this data folder as its pointer file names it, or a new name and new passwords, written down first. */
export async function findCluster(dataDir: string): Promise<Cluster> {
  const pointer = join(dataDir, 'postgres.json');
  const text = await readFile(pointer, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text !== undefined) {
    const { home, passwords, prepared } = JSON.parse(text) as Cluster;
    // A data folder from before there was a signer: its login is made by the next start.
    return { home: resolve(dataDir, home), passwords: { ...passwords, signer: passwords.signer ?? '' }, prepared };
  }
  const isRoot = process.getuid?.() === 0;
  // The random part keeps a data folder that was deleted and made again from meeting its former cluster.
  const name = `${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}-${randomBytes(4).toString('hex')}`;
  const cluster: Cluster = {
    home: isRoot ? join(SHARED_STATE, name) : join(dataDir, 'postgres'),
    passwords: {
      superuser: password(),
      migrator: password(),
      runtime: password(),
      auditor: password(),
      signer: password(),
    },
    prepared: false,
  };
  await writePointer(dataDir, cluster);
  return cluster;
}

/** The account for this cluster's server: whoever owns its files, or for a new one started by root, one that is not root. */
export async function accountOf(cluster: Cluster): Promise<ServerAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(dataFolder(cluster)).catch(() => undefined);
  return owner !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : accountForRoot();
}

/**
 * Makes the files of the cluster unless they exist. `initdb` works in a folder of another name that is renamed when
 * everything is on disk, so what an interruption leaves behind is never taken for a cluster.
 */
export async function ensureFiles(cluster: Cluster, binaries: string, account?: ServerAccount): Promise<void> {
  const data = dataFolder(cluster);
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined) {
    if (version.trim() === MAJOR_VERSION) return;
    throw new Error(`${data} was made by Postgres ${version.trim()}; this release runs Postgres ${MAJOR_VERSION}`);
  }
  if (cluster.prepared) {
    throw new Error(`${data} is gone. Restore it from a backup; to begin anew, remove the whole data folder`);
  }
  if (account !== undefined) await openSharedState();
  await mkdir(cluster.home, { recursive: true });
  await chmod(cluster.home, account === undefined ? 0o700 : 0o711);

  const draft = join(cluster.home, 'making');
  const passwordFile = join(cluster.home, 'password');
  await rm(draft, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordFile, `${cluster.passwords.superuser}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (account !== undefined) {
      await chown(draft, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    await execute(join(binaries, 'bin/initdb'), initArguments(draft, passwordFile), account, cluster.home);
  } finally {
    await rm(passwordFile, { force: true });
  }
  // In place of the file that initdb made: no socket, no replication, no other address, no other method.
  await writeFile(join(draft, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n');
  await flush(join(draft, 'pg_hba.conf'));
  await rename(draft, data);
  await flush(cluster.home);
}

const initArguments = (data: string, passwordFile: string): string[] => [
  `--pgdata=${data}`,
  `--username=${EMBEDDED.superuser}`,
  `--pwfile=${passwordFile}`,
  '--auth=scram-sha-256',
  // The builtin provider sorts by code point on every machine alike; a libc upgrade can't corrupt an index.
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--locale=C',
  '--encoding=UTF8',
  '--data-checksums',
  '--no-instructions',
  // initdb probes how much memory it may take; with the answer given it need not start the server to find out.
  '--set=huge_pages=off',
];

/** Makes the database and the logins; repeatable, so an interruption anywhere is mended by the next start. */
export async function prepareCluster(dataDir: string, found: Cluster, port: number): Promise<Cluster> {
  const cluster = { ...found, passwords: { ...found.passwords, signer: found.passwords.signer || password() } };
  await asSuperuser(cluster, port, 'postgres', async (client) => {
    await ensureLogin(client, EMBEDDED.migrator, cluster.passwords.migrator, 'CREATEROLE');
    await ensureLogin(client, EMBEDDED.runtime, cluster.passwords.runtime, 'NOCREATEROLE');
    await ensureLogin(client, EMBEDDED.auditor, cluster.passwords.auditor, 'NOCREATEROLE');
    await ensureLogin(client, EMBEDDED.signer, cluster.passwords.signer, 'NOCREATEROLE');
    const made = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [EMBEDDED.database]);
    if (made.rowCount === 0) await client.query(`CREATE DATABASE ${EMBEDDED.database}`);
    await client.query('REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC');
    await client.query(databasePrivileges(EMBEDDED.database));
  });
  await asSuperuser(cluster, port, EMBEDDED.database, (client) =>
    client.query('REVOKE ALL ON SCHEMA public FROM PUBLIC'),
  );
  const prepared = { ...cluster, prepared: true };
  await writePointer(dataDir, prepared);
  return prepared;
}

/** Who may enter a database. `CREATE DATABASE … TEMPLATE` does not copy this, so a copy needs it said again. */
export function databasePrivileges(database: string): string {
  const name = escapeIdentifier(database);
  return [
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC`,
    `GRANT CONNECT, CREATE ON DATABASE ${name} TO ${EMBEDDED.migrator}`,
    `GRANT CONNECT ON DATABASE ${name} TO ${EMBEDDED.runtime}, ${EMBEDDED.auditor}, ${EMBEDDED.signer}`,
  ].join('; ');
}

/** Runs `work` on a connection of the superuser that is closed in every case. */
export async function asSuperuser<T>(
  cluster: Cluster,
  port: number,
  database: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({
    connectionString: loginUrl(cluster, 'superuser', port, database),
    ssl: false,
    connectionTimeoutMillis: 5000,
    query_timeout: 30_000,
  });
  // A connection that breaks rejects the query under way; without a listener it would also end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ensureLogin(client: Client, name: string, secret: string, right: 'CREATEROLE' | 'NOCREATEROLE') {
  const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
  const verb = rowCount === 0 ? 'CREATE' : 'ALTER';
  await client.query(`${verb} ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB ${right} PASSWORD ${escapeLiteral(secret)}`);
}

async function openSharedState(): Promise<void> {
  await mkdir(SHARED_STATE, { recursive: true });
  const { uid } = await lstat(SHARED_STATE);
  if (uid !== 0) throw new Error(`${SHARED_STATE} must belong to root`);
  await chmod(SHARED_STATE, 0o711);
}

async function writePointer(dataDir: string, cluster: Cluster): Promise<void> {
  const pointer = join(dataDir, 'postgres.json');
  const draft = `${pointer}.${randomBytes(6).toString('hex')}`;
  // Inside the data folder the path is relative, so that the folder can be moved.
  const home = dirname(cluster.home) === dataDir ? basename(cluster.home) : cluster.home;
  await writeFile(draft, `${JSON.stringify({ ...cluster, home }, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  await flush(draft);
  await rename(draft, pointer);
  await flush(dataDir);
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Clusters that earlier data folders of the same name left behind: worth a word in the log, never deleted by us. */
export async function formerClusters(cluster: Cluster): Promise<string[]> {
  const [prefix] = basename(cluster.home).split('-');
  if (dirname(cluster.home) !== SHARED_STATE || prefix === undefined) return [];
  const names = await readdir(SHARED_STATE).catch(() => []);
  return names.filter((name) => name.startsWith(`${prefix}-`) && name !== basename(cluster.home));
}

const password = (): string => randomBytes(32).toString('base64url');
