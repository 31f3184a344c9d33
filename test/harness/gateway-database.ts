import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { silentLog } from '#kernel/log.ts';
import { findBinaries } from '#postgres/embedded-binaries.ts';
import { accountOf, type Cluster, findCluster, loginUrl } from '#postgres/embedded-cluster.ts';
import { findServer, type Server, signal, startServer, stopServer } from '#postgres/embedded-server.ts';
import { identityOf, isAlive } from '#postgres/process-lock.ts';

/** The embedded Postgres of a gateway in the hands of somebody who may do anything to it. */
export class GatewayDatabase {
  readonly #cluster: Cluster;
  #server: Server | null;

  private constructor(cluster: Cluster, server: Server) {
    this.#cluster = cluster;
    this.#server = server;
  }

  static async of(dataDir: string): Promise<GatewayDatabase> {
    const cluster = await findCluster(dataDir);
    const server = await findServer(cluster);
    if (server === undefined) throw new Error('the gateway has no Postgres');
    return new GatewayDatabase(cluster, server);
  }

  get isUp(): boolean {
    return this.#server !== null && isAlive(this.#server.process);
  }

  /** What the gateway itself signs in with: for another process beside it. */
  get runtimeUrl(): string {
    return loginUrl(this.#cluster, 'runtime', this.#running().port);
  }

  /** As superuser, who is under no row-level security and no grant. */
  async sql<R extends object = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<R[]> {
    const client = new Client({ connectionString: loginUrl(this.#cluster, 'superuser', this.#running().port) });
    await client.connect();
    try {
      await client.query('SET search_path = strongroom');
      return (await client.query<R & Record<string, unknown>>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** SIGSTOP to the server and its backends: connections stay open and nothing answers. */
  freeze(): void {
    this.#signalAll('SIGSTOP');
  }

  thaw(): void {
    this.#signalAll('SIGCONT');
  }

  /**
   * No file of the server may grow beyond so many bytes (RLIMIT_FSIZE, set from outside as it runs); null lifts it. To
   * Postgres that is a disk which takes no more: a write comes back short or with an error, and Postgres handles both alike.
   */
  limitFiles(bytes: number | null): void {
    const { pid } = this.#running().process;
    for (const one of [pid, ...childrenOf(pid)]) {
      if (!isThere(one)) continue;
      // As its own user: another one may not even look at its limits.
      const { uid, gid } = statSync(`/proc/${one}`);
      const limit = `--fsize=${bytes ?? 'unlimited'}:`;
      const { status, stderr } = spawnSync('prlimit', [`--pid=${one}`, limit], { uid, gid, encoding: 'utf8' });
      if (status !== 0 && isThere(one)) throw new Error(`prlimit: ${stderr}`);
    }
  }

  /** Fast shutdown: from here on connections are refused. */
  async stop(): Promise<void> {
    await stopServer(this.#running());
    this.#server = null;
  }

  /** SIGKILL: what a crash looks like. */
  async kill(): Promise<void> {
    const { pid } = this.#running().process;
    const all = [pid, ...childrenOf(pid)].map(identityOf).filter((identity) => identity !== undefined);
    signal(this.#running(), 'SIGKILL');
    this.#server = null;
    while (all.some(isAlive)) await sleep(10);
  }

  /** Again on the same port, where the gateway looks for it. */
  async start(): Promise<void> {
    const account = await accountOf(this.#cluster);
    this.#server = await startServer(this.#cluster, await findBinaries(account), {}, silentLog, account);
  }

  /** Ends it if it still runs and removes its files. */
  async remove(): Promise<void> {
    if (this.isUp) {
      this.thaw();
      await stopServer(this.#running());
    }
    await rm(this.#cluster.home, { recursive: true, force: true });
  }

  #running(): Server {
    if (this.#server === null) throw new Error('Postgres is stopped');
    return this.#server;
  }

  #signalAll(name: 'SIGSTOP' | 'SIGCONT'): void {
    const { pid } = this.#running().process;
    for (const one of [pid, ...childrenOf(pid)]) {
      try {
        process.kill(one, name);
      } catch {
        // A backend that just ended.
      }
    }
  }
}

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
