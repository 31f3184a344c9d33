import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '#kernel/log.ts';
import { startEmbedded } from '#postgres/embedded.ts';
import { findBinaries } from '#postgres/embedded-binaries.ts';
import {
  accountOf,
  asSuperuser,
  type Cluster,
  databasePrivileges,
  EMBEDDED,
  findCluster,
  loginUrl,
} from '#postgres/embedded-cluster.ts';
import { findServer, type Server, signal, startServer, stopServer } from '#postgres/embedded-server.ts';
import { migrate } from '#postgres/migrate.ts';
import { identityOf, isAlive } from '#postgres/process-lock.ts';

/** Smaller than the product's, so that several test processes fit on one machine. Everything is as durable. */
const SETTINGS = { shared_buffers: '32MB', max_wal_size: '512MB' };

/** The repository's own migrations. */
export const MIGRATIONS = new URL('../../migrations', import.meta.url).pathname;

export interface TestDatabase {
  readonly name: string;
  readonly runtimeUrl: string;
  readonly auditorUrl: string;
  readonly signerUrl: string;
  readonly migrateUrl: string;
  /** For attacks that a DBA could make; the product never holds it. */
  readonly superuserUrl: string;
  drop(): Promise<void>;
}

export interface TestCluster extends AsyncDisposable {
  /** Folder of the embedded gateway data, with `postgres.json`. */
  readonly dataDir: string;
  /** A copy of the migrated template, 100 ms or so. Without `migrated` an empty database. */
  freshDatabase(options?: { readonly migrated?: boolean }): Promise<TestDatabase>;
  /** A backup that was restored beside: all sessions on the original are ended for the moment that it takes. */
  copyOf(database: TestDatabase): Promise<TestDatabase>;
  /** SIGSTOP to the server and all its backends: connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Fast shutdown, as a DBA would do it. `restartServer` brings it back on the same port. */
  stopServer(): Promise<void>;
  /** SIGKILL: what a crash of the server looks like. */
  killServer(): Promise<void>;
  restartServer(): Promise<void>;
  /** Stops the server and removes every file. Repeatable. */
  stop(): Promise<void>;
}

let shared: Promise<TestCluster> | undefined;

/** The one cluster of this test process, started on the first call. End it in the last `after` of the file. */
export function testCluster(): Promise<TestCluster> {
  shared ??= startCluster();
  return shared;
}

async function startCluster(): Promise<TestCluster> {
  const dataDir = await mkdtemp(join(tmpdir(), 'strongroom-test-'));
  const embedded = await startEmbedded({ dataDir, log: silentLog, settings: SETTINGS });
  const cluster = await findCluster(dataDir);
  let server = await findServer(cluster);
  const running = (): Server => {
    if (server === undefined) throw new Error('the test server is stopped');
    return server;
  };
  const urlOf = (login: Parameters<typeof loginUrl>[1], database: string) =>
    loginUrl(cluster, login, running().port, database);

  const newDatabase = async (from: string): Promise<TestDatabase> => {
    const name = `test_${randomBytes(6).toString('hex')}`;
    await createDatabase(cluster, running().port, name, from);
    return {
      name,
      runtimeUrl: urlOf('runtime', name),
      auditorUrl: urlOf('auditor', name),
      signerUrl: urlOf('signer', name),
      migrateUrl: urlOf('migrator', name),
      superuserUrl: urlOf('superuser', name),
      drop: () =>
        asSuperuser(cluster, running().port, 'postgres', async (client) => {
          await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
        }),
    };
  };

  let template: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  const stop = () => {
    stopped ??= (async () => {
      signalTree(server, 'SIGCONT');
      if (server !== undefined) await stopServer(server);
      await embedded.stop();
      await rm(cluster.home, { recursive: true, force: true });
      await rm(dataDir, { recursive: true, force: true });
      shared = undefined;
    })();
    return stopped;
  };

  return {
    dataDir,
    stop,
    [Symbol.asyncDispose]: stop,

    async freshDatabase({ migrated = true } = {}) {
      if (migrated) {
        template ??= migrateTemplate(cluster, running().port);
        await template;
      }
      return newDatabase(migrated ? EMBEDDED.database : 'template1');
    },

    async copyOf({ name }) {
      const alone = (allowed: boolean) =>
        asSuperuser(cluster, running().port, 'postgres', async (client) => {
          await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS ${allowed}`);
          if (!allowed) {
            await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
              name,
            ]);
          }
        });
      await alone(false);
      try {
        return await newDatabase(name);
      } finally {
        await alone(true);
      }
    },

    freeze: () => signalTree(running(), 'SIGSTOP'),
    thaw: () => signalTree(running(), 'SIGCONT'),

    async stopServer() {
      await stopServer(running());
      server = undefined;
    },
    async killServer() {
      const { pid } = running().process;
      // A backend that outlives its server for a moment would still answer.
      const all = [pid, ...childrenOf(pid)].map(identityOf).filter((identity) => identity !== undefined);
      signal(running(), 'SIGKILL');
      server = undefined;
      while (all.some(isAlive)) await sleep(10);
    },
    async restartServer() {
      const account = await accountOf(cluster);
      server = await startServer(cluster, await findBinaries(account), SETTINGS, silentLog, account);
    },
  };
}

async function migrateTemplate(cluster: Cluster, port: number): Promise<void> {
  await migrate({
    url: loginUrl(cluster, 'migrator', port),
    directory: MIGRATIONS,
    runtimeLogin: EMBEDDED.runtime,
    auditorLogin: EMBEDDED.auditor,
    signerLogin: EMBEDDED.signer,
    log: silentLog,
  });
}

async function createDatabase(cluster: Cluster, port: number, name: string, template: string): Promise<void> {
  await asSuperuser(cluster, port, 'postgres', async (client) => {
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
    await client.query(databasePrivileges(name));
  });
}

/** Backends are children of the server: the signal must reach them as well, or they would go on answering. */
function signalTree(server: Server | undefined, name: 'SIGSTOP' | 'SIGCONT'): void {
  if (server === undefined) return;
  for (const pid of [server.process.pid, ...childrenOf(server.process.pid)]) {
    try {
      process.kill(pid, name);
    } catch {
      // A backend that just ended.
    }
  }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}
