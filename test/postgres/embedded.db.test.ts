import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { type EmbeddedPostgres, startEmbedded } from '#postgres/embedded.ts';
import { dataFolder, findCluster, loginUrl } from '#postgres/embedded-cluster.ts';
import { identityOf } from '#postgres/process-lock.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

describe('the embedded Postgres', { timeout: 120_000 }, () => {
  let dataDir: string;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'strongroom-embedded-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    // Whatever a test left running is joined once more, and by then nobody else uses it.
    await (await start()).stop();
    await rm((await findCluster(dataDir)).home, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = () => startEmbedded({ dataDir, log: silentLog, settings: { shared_buffers: '16MB' } });

  async function ask(url: string, sql: string): Promise<Record<string, unknown>> {
    const client = await openConnection(url, { applicationName: 'test' });
    try {
      return (await client.query(sql)).rows[0] ?? {};
    } finally {
      await client.end();
    }
  }

  const serverPid = async () =>
    Number((await readFile(join(dataFolder(await findCluster(dataDir)), 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const isRunning = (pid: number) => identityOf(pid) !== undefined;

  /** Another gateway on the same data folder, as a process that can be killed. */
  async function otherProcess(): Promise<ChildProcess> {
    const program = `
      const { startEmbedded } = await import('#postgres/embedded.ts');
      const { silentLog } = await import('#kernel/log.ts');
      const embedded = await startEmbedded({ dataDir: ${JSON.stringify(dataDir)}, log: silentLog, settings: { shared_buffers: '16MB' } });
      process.on('SIGTERM', () => embedded.stop().then(() => process.exit(0)));
      setInterval(() => undefined, 1000);
      console.log('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout, 'data');
    return child;
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    child.kill(signal);
    await once(child, 'exit');
  }

  it('starts, keeps what was written, starts again on the same port, and leaves nothing running', async () => {
    await using first = await start();
    const pid = await serverPid();
    await ask(first.migrateUrl, 'CREATE SCHEMA kept');
    await first.stop();
    assert.equal(isRunning(pid), false);
    await using second = await start();
    assert.equal(second.runtimeUrl, first.runtimeUrl);
    const { there } = await ask(
      second.runtimeUrl,
      "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'kept') AS there",
    );
    assert.equal(there, true);
  });

  it('is set up as it must be', async () => {
    await using embedded = await start();
    const port = Number(new URL(embedded.runtimeUrl).port);
    const asRoot = loginUrl(await findCluster(dataDir), 'superuser', port);
    assert.deepEqual(await ask(asRoot, 'SHOW unix_socket_directories'), { unix_socket_directories: '' });
    const settings = await ask(
      embedded.runtimeUrl,
      `SELECT current_setting('fsync') AS fsync, current_setting('data_checksums') AS checksums,
              current_setting('listen_addresses') AS address,
              current_setting('server_encoding') AS encoding, current_setting('password_encryption') AS passwords,
              (SELECT datlocale FROM pg_database WHERE datname = current_database()) AS locale`,
    );
    assert.deepEqual(settings, {
      fsync: 'on',
      checksums: 'on',
      address: '127.0.0.1',
      encoding: 'UTF8',
      passwords: 'scram-sha-256',
      locale: 'C.UTF-8',
    });
    assert.equal((await stat(join(dataDir, 'postgres.json'))).mode & 0o777, 0o600);
    const logins = await ask(
      embedded.migrateUrl,
      `SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user`,
    );
    assert.deepEqual(logins, { rolsuper: false, rolcreaterole: true });
    const wrong = embedded.runtimeUrl.replace(/:[^:@]*@/, ':wrong@');
    await assert.rejects(ask(wrong, 'SELECT 1'), { code: '28P01' });
    await assert.rejects(ask(embedded.runtimeUrl.replace(/[^/]*$/, 'postgres'), 'SELECT 1'), { code: '42501' });
  });

  it('gives the server nothing of its environment and no privileges of root', {
    skip: process.platform !== 'linux',
  }, async () => {
    process.env['STRONGROOM_CANARY'] = 'canary-in-the-environment';
    await using _embedded = await start();
    const pid = await serverPid();
    const environment = process.getuid?.() === 0 ? await readFile(`/proc/${pid}/environ`, 'utf8') : '';
    assert.doesNotMatch(environment, /canary/);
    assert.doesNotMatch(await readFile(`/proc/${pid}/status`, 'utf8'), /^Uid:\s+0\b/m);
  });

  it('adopts the server of a gateway that was killed, and then stops it itself', async () => {
    const gateway = await otherProcess();
    const pid = await serverPid();
    await end(gateway, 'SIGKILL');
    assert.equal(isRunning(pid), true);
    await using embedded = await start();
    assert.equal(await serverPid(), pid);
    assert.deepEqual(await ask(embedded.runtimeUrl, 'SELECT 1 AS one'), { one: 1 });
    await embedded.stop();
    assert.equal(isRunning(pid), false);
  });

  it('leaves the server to the last process that uses it', async () => {
    const gateway = await otherProcess();
    const pid = await serverPid();
    const visitor = await start();
    await visitor.stop();
    assert.equal(isRunning(pid), true);
    await end(gateway, 'SIGTERM');
    assert.equal(isRunning(pid), false);
  });

  it('may be started by several at once', async () => {
    const all: EmbeddedPostgres[] = await Promise.all([start(), start(), start()]);
    assert.equal(new Set(all.map(({ runtimeUrl }) => runtimeUrl)).size, 1);
    const pid = await serverPid();
    await Promise.all(all.map((embedded) => embedded.stop()));
    assert.equal(isRunning(pid), false);
  });

  it('makes a cluster anew whose making was interrupted', async () => {
    const { home } = await findCluster(dataDir);
    await mkdir(join(home, 'making/base'), { recursive: true });
    await writeFile(join(home, 'making/PG_VERSION'), '18\n');
    await writeFile(join(home, 'password'), 'left over');
    await using embedded = await start();
    assert.deepEqual(await ask(embedded.runtimeUrl, 'SELECT 1 AS one'), { one: 1 });
    await assert.rejects(stat(join(home, 'password')), { code: 'ENOENT' });
  });

  it('finishes logins whose making was interrupted', async () => {
    await (await start()).stop();
    const pointer = join(dataDir, 'postgres.json');
    const before = JSON.parse(await readFile(pointer, 'utf8'));
    await writeFile(pointer, JSON.stringify({ ...before, prepared: false }));
    await using embedded = await start();
    assert.deepEqual(await ask(embedded.runtimeUrl, 'SELECT 1 AS one'), { one: 1 });
  });

  it('refuses to begin anew where a cluster in use was lost', async () => {
    await (await start()).stop();
    const data = dataFolder(await findCluster(dataDir));
    await rm(data, { recursive: true });
    await assert.rejects(start(), /is gone\. Restore it/);
    const pointer = join(dataDir, 'postgres.json');
    await writeFile(pointer, JSON.stringify({ ...JSON.parse(await readFile(pointer, 'utf8')), prepared: false }));
  });

  it('takes another port where its own is taken', async () => {
    const first = await start();
    await first.stop();
    const port = Number(new URL(first.runtimeUrl).port);
    const squatter = createServer().listen(port, '127.0.0.1');
    await once(squatter, 'listening');
    await using second = await start();
    assert.notEqual(Number(new URL(second.runtimeUrl).port), port);
    squatter.close();
  });

  it('is not barred by a stale pid file, even where its number now belongs to somebody else', async () => {
    await using first = await start();
    const pid = await serverPid();
    process.kill(pid, 'SIGKILL');
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
    await first.stop();
    await using second = await start();
    assert.deepEqual(await ask(second.runtimeUrl, 'SELECT 1 AS one'), { one: 1 });
    await second.stop();

    const file = join(dataFolder(await findCluster(dataDir)), 'postmaster.pid');
    await writeFile(
      file,
      `${process.pid}\n${dataFolder(await findCluster(dataDir))}\n1700000000\n5\n\n127.0.0.1\n\nready   \n`,
      { mode: 0o600 },
    );
    await using third = await start();
    assert.deepEqual(await ask(third.runtimeUrl, 'SELECT 1 AS one'), { one: 1 });
  });
});
