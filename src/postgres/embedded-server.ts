import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#kernel/log.ts';
import { BARE_ENVIRONMENT, type ServerAccount } from './embedded-binaries.ts';
import { asSuperuser, type Cluster, dataFolder } from './embedded-cluster.ts';
import { identityOf, isAlive, type ProcessIdentity } from './process-lock.ts';

/** A running server of a cluster of ours. */
export interface Server {
  readonly process: ProcessIdentity;
  readonly port: number;
}

/** Server settings by name; they win over postgresql.conf, so that a new release of the gateway brings its own. */
export type Settings = Readonly<Record<string, string>>;

const SETTINGS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  authentication_timeout: '10s',
  max_connections: '100',
  shared_buffers: '256MB',
  huge_pages: 'off',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  // Nobody replicates from an embedded server, so the log need not carry what only a replica reads.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  wal_compression: 'pglz',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
  log_checkpoints: 'off',
  // An error message may quote what a user sent: start, stop, FATAL and PANIC are logged, ERROR and statements never.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length_on_error: '0',
};

const START_PATIENCE_MS = 300_000;
const STOP_PATIENCE_MS = 60_000;
const LOG_LIMIT_BYTES = 8 * 1024 * 1024;

/** The server that already serves this cluster, waited for while it starts or stops; undefined when there is none. */
export async function findServer(cluster: Cluster): Promise<Server | undefined> {
  const deadline = performance.now() + START_PATIENCE_MS;
  for (;;) {
    const file = await readPidFile(cluster);
    if (file === undefined) return undefined;
    const identity = identityOf(file.pid);
    if (identity === undefined || !servesFrom(file.pid, dataFolder(cluster))) {
      await clearStalePidFile(cluster, identity);
      return undefined;
    }
    if (file.status === 'ready' && (await answers(cluster, file.port))) return { process: identity, port: file.port };
    if (performance.now() > deadline) {
      throw new Error(
        `the Postgres server ${file.pid} of ${dataFolder(cluster)} does not answer; end it and start again`,
      );
    }
    await sleep(50);
  }
}

/** Starts a server of its own process group: an interrupt at the terminal must not end it before the gateway drains. */
export async function startServer(
  cluster: Cluster,
  binaries: string,
  settings: Settings,
  log: Log,
  account?: ServerAccount,
): Promise<Server> {
  const logFile = join(cluster.home, 'postgres.log');
  await rotate(logFile);
  let port = await lastPort(cluster);
  for (let attempt = 1; ; attempt++) {
    port ??= await freePort();
    const logged = (await stat(logFile).catch(() => undefined))?.size ?? 0;
    const outcome = await launch(cluster, binaries, { ...SETTINGS, ...settings, port: String(port) }, logFile, account);
    if (typeof outcome !== 'string') {
      await writeFile(join(cluster.home, 'port'), `${port}\n`, { mode: 0o600 });
      return { process: outcome, port };
    }
    const words = await readFrom(logFile, logged);
    const portTaken = /could not bind|could not create any TCP\/IP sockets/.test(words);
    // The backends of a killed server take a moment to notice; until then their memory bars the way.
    const predecessorLeaving = /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(words);
    if (attempt >= 20 || !(portTaken || predecessorLeaving)) {
      throw new Error(`Postgres did not start (${outcome}), see ${logFile}: ${words.trim().slice(-500)}`);
    }
    log.debug('Postgres is started again', { count: attempt, state: portTaken ? 'port taken' : 'predecessor leaving' });
    if (portTaken) port = undefined;
    else await sleep(250);
  }
}

/** Fast shutdown: sessions are ended, everything is on disk. Does nothing when the server is gone already. */
export async function stopServer(server: Server): Promise<void> {
  signal(server, 'SIGINT');
  // A stopped (SIGSTOP) server would keep the interrupt for later.
  signal(server, 'SIGCONT');
  const deadline = performance.now() + STOP_PATIENCE_MS;
  for (let hurried = false; isAlive(server.process); await sleep(10)) {
    if (hurried || performance.now() < deadline) continue;
    // Immediate shutdown loses nothing that was committed: the next start replays the write-ahead log.
    signal(server, 'SIGQUIT');
    hurried = true;
  }
}

/** For the moment of exit, when nothing can be waited for any more. */
export function signal(server: Server, name: NodeJS.Signals): void {
  if (!isAlive(server.process)) return;
  try {
    process.kill(server.process.pid, name);
  } catch {
    // It ended between the two lines.
  }
}

/** Resolves with the server's process once it takes connections, or with how it ended. */
async function launch(
  cluster: Cluster,
  binaries: string,
  settings: Settings,
  logFile: string,
  account?: ServerAccount,
): Promise<ProcessIdentity | string> {
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const output = openSync(logFile, 'a', 0o600);
  let ending: string | undefined;
  const child = spawn(join(binaries, 'bin/postgres'), ['-D', dataFolder(cluster), ...options], {
    ...account,
    cwd: cluster.home,
    env: BARE_ENVIRONMENT,
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  child.unref();
  child.once('error', (error) => {
    ending = error.message;
  });
  child.once('exit', (code, name) => {
    ending = `ended with ${name ?? code}`;
  });
  const deadline = performance.now() + START_PATIENCE_MS;
  while (ending === undefined) {
    const file = await readPidFile(cluster);
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (file !== undefined && file.pid === child.pid && file.status === 'ready' && identity) return identity;
    if (performance.now() > deadline) {
      child.kill('SIGQUIT');
      return `not ready after ${START_PATIENCE_MS / 1000} s`;
    }
    await sleep(10);
  }
  return ending;
}

interface PidFile {
  readonly pid: number;
  readonly port: number;
  readonly status: string;
}

async function readPidFile(cluster: Cluster): Promise<PidFile | undefined> {
  const text = await readFile(join(dataFolder(cluster), 'postmaster.pid'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  return { pid: Number(lines[0]), port: Number(lines[3]), status: (lines[7] ?? '').trim() };
}

/** Whether this process is a Postgres server of this folder, and not one that inherited its number. */
function servesFrom(pid: number, data: string): boolean {
  if (process.platform !== 'linux') return true;
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return basename(program) === 'postgres' && args[args.indexOf('-D') + 1] === data;
  } catch {
    return false;
  }
}

/**
 * Postgres clears a stale file itself, except where another living process got the number. It is only removed when no
 * process works in the data folder: a backend that outlived its server would write into the new server's files.
 */
async function clearStalePidFile(cluster: Cluster, bearer: ProcessIdentity | undefined): Promise<void> {
  if (bearer === undefined || process.platform !== 'linux') return;
  const data = dataFolder(cluster);
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readlinkSync(`/proc/${entry}/cwd`) === data) return;
    } catch {
      // Gone, or of another user, and then no process of this cluster.
    }
  }
  await rm(join(data, 'postmaster.pid'), { force: true });
}

/** SCRAM proves both sides: only the server that made our passwords can complete it. */
async function answers(cluster: Cluster, port: number): Promise<boolean> {
  try {
    return await asSuperuser(cluster, port, 'postgres', async (client) => {
      const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
      return rows[0]?.data_directory === dataFolder(cluster);
    });
  } catch {
    return false;
  }
}

async function lastPort(cluster: Cluster): Promise<number | undefined> {
  const port = Number(await readFile(join(cluster.home, 'port'), 'utf8').catch(() => ''));
  return Number.isInteger(port) && port > 1023 && port < 65_536 ? port : undefined;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no free port')),
      );
    });
  });
}

async function rotate(logFile: string): Promise<void> {
  const size = (await stat(logFile).catch(() => undefined))?.size ?? 0;
  if (size > LOG_LIMIT_BYTES) await rename(logFile, `${logFile}.1`);
}

async function readFrom(path: string, position: number): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(16_384), position });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
