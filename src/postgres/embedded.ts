import { existsSync } from 'node:fs';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '#kernel/log.ts';
import { findBinaries, SHARED_STATE } from './embedded-binaries.ts';
import { accountOf, ensureFiles, findCluster, formerClusters, loginUrl, prepareCluster } from './embedded-cluster.ts';
import { findServer, type Settings, signal, startServer, stopServer } from './embedded-server.ts';
import { Leases, withProcessLock } from './process-lock.ts';

export interface EmbeddedOptions {
  /** The gateway's data folder; made when missing. Holds `postgres.json` with the passwords, mode 0600. */
  readonly dataDir: string;
  readonly log: Log;
  /** Further server settings, such as a smaller `shared_buffers`. `fsync` must stay on. */
  readonly settings?: Settings;
}

/** A real Postgres 18 on 127.0.0.1 with one database and four logins, none of them a superuser. */
export interface EmbeddedPostgres extends AsyncDisposable {
  readonly migrateUrl: string;
  readonly runtimeUrl: string;
  readonly auditorUrl: string;
  readonly signerUrl: string;
  /** Gives the server up. It is shut down once no living process uses it any more. Repeatable. */
  stop(): Promise<void>;
}

const LOCK_PATIENCE_MS = 60_000;

/**
 * Starts the embedded Postgres of a data folder, or joins the server that a killed gateway or another living process
 * of ours left running. Crash safe at every point: what was begun is either found whole or made anew.
 *
 * @throws Error when the cluster's files were lost after use, were made by another major version, or can't be served.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const dataDir = await realpath(options.dataDir);
  const lock = join(dataDir, 'postgres.lock');
  return withProcessLock(lock, LOCK_PATIENCE_MS, () => open(dataDir, lock, options));
}

async function open(dataDir: string, lock: string, { log, settings = {} }: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const startedAt = performance.now();
  let cluster = await findCluster(dataDir);
  const account = await accountOf(cluster);
  const binaries = await findBinaries(account);
  await ensureFiles(cluster, binaries, account);

  const found = await findServer(cluster);
  const server = found ?? (await startServer(cluster, binaries, settings, log, account));
  try {
    if (!cluster.prepared || cluster.passwords.signer === '') {
      cluster = await prepareCluster(dataDir, cluster, server.port);
      for (const name of await formerClusters(cluster)) {
        log.warn('a cluster of an earlier data folder of this name is still there', { file: join(SHARED_STATE, name) });
      }
    }
  } catch (error) {
    if (found === undefined) await stopServer(server);
    throw error;
  }
  const leases = new Leases(join(dataDir, 'postgres.users'));
  await leases.take();
  log.info(found === undefined ? 'embedded Postgres started' : 'embedded Postgres was running already', {
    pid: server.process.pid,
    address: `127.0.0.1:${server.port}`,
    file: cluster.home,
    durationMs: Math.round(performance.now() - startedAt),
  });

  // For a process that exits without stop(): the server is asked to go, and nobody waits for it.
  const atExit = () => {
    if (leases.giveBack()) signal(server, 'SIGINT');
  };
  process.once('exit', atExit);

  let stopped: Promise<void> | undefined;
  const stopUnlessUsed = async () => {
    process.removeListener('exit', atExit);
    if (leases.giveBack()) await stopServer(server);
    else log.info('embedded Postgres keeps running for another process', { pid: server.process.pid });
  };
  const stop = () => {
    // Where somebody deleted the data folder there is no lock to take, and still a server to stop.
    stopped ??= existsSync(dataDir) ? withProcessLock(lock, LOCK_PATIENCE_MS, stopUnlessUsed) : stopUnlessUsed();
    return stopped;
  };
  return {
    migrateUrl: loginUrl(cluster, 'migrator', server.port),
    runtimeUrl: loginUrl(cluster, 'runtime', server.port),
    auditorUrl: loginUrl(cluster, 'auditor', server.port),
    signerUrl: loginUrl(cluster, 'signer', server.port),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
