import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Log, silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool, type PoolOptions, prepared } from '#postgres/pool.ts';
import { CommitUnknown, inTransaction } from '#postgres/transaction.ts';
import { type TestCluster, type TestDatabase, testCluster } from '../harness/postgres.ts';

describe('the connection pool', () => {
  let cluster: TestCluster;
  let database: TestDatabase;

  before(async () => {
    cluster = await testCluster();
    database = await cluster.freshDatabase({ migrated: false });
    await using pool = openPool(database.superuserUrl, { applicationName: 'test', log: silentLog });
    await pool.query('CREATE TABLE public.kept (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)');
  });
  after(() => cluster.stop());

  const open = (options: Partial<PoolOptions> = {}): GuardedPool =>
    openPool(database.superuserUrl, { applicationName: 'test', log: silentLog, max: 2, ...options });

  const impatient = { statementTimeoutMs: 200, queryTimeoutMs: 300, connectTimeoutMs: 400 };

  it('gives up on a frozen server in time, destroys the connection, and recovers by itself', async () => {
    await using pool = open(impatient);
    const idOf = async () => (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
    const before = await idOf();
    cluster.freeze();
    try {
      const startedAt = performance.now();
      // Two ways to ask, and one that has to make a new connection.
      const asked = await Promise.allSettled([
        pool.query('SELECT 1'),
        pool.lend((client) => client.query('SELECT 1')),
        inTransaction(pool, {}, (client) => client.query('SELECT 1')),
      ]);
      assert.deepEqual(
        asked.map(({ status }) => status),
        ['rejected', 'rejected', 'rejected'],
      );
      assert.ok(performance.now() - startedAt < 1500, 'nothing waits for longer than its timeouts');
    } finally {
      cluster.thaw();
    }
    const now = await idOf();
    assert.ok(now !== undefined && now !== before);
  });

  it('does not lend a connection again whose user swallowed the timeout', async () => {
    await using pool = open({ ...impatient, max: 1 });
    await pool.lend(async (client) => {
      cluster.freeze();
      await client.query('SELECT 1').catch(() => undefined);
      cluster.thaw();
    });
    const { rows } = await pool.query('SELECT 2 AS two');
    assert.deepEqual(rows, [{ two: 2 }]);
  });

  it('closes in time although the server is frozen', async () => {
    const pool = open();
    await pool.query('SELECT 1');
    cluster.freeze();
    const startedAt = performance.now();
    await pool.close().finally(() => cluster.thaw());
    assert.ok(performance.now() - startedAt < 3000);
  });

  it('survives connections that break while idle or lent, and logs them', async () => {
    let warnings = 0;
    const log: Log = { ...silentLog, warn: () => warnings++ };
    await using pool = open({ log });
    await pool.query('SELECT 1');
    await pool.lend(async () => {
      await using other = open();
      await other.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test' AND pid <> pg_backend_pid()",
      );
      await sleep(100);
    });
    assert.ok(warnings > 0);
    assert.equal((await pool.query('SELECT 1')).rowCount, 1);
  });

  it('comes back after the server was shut down, and after it was killed', async () => {
    await using pool = open();
    await pool.query('SELECT 1');
    await cluster.stopServer();
    await assert.rejects(pool.query('SELECT 1'));
    await cluster.restartServer();
    assert.equal((await pool.query('SELECT 1')).rowCount, 1);
    await cluster.killServer();
    await assert.rejects(pool.query('SELECT 1'));
    await cluster.restartServer();
    assert.equal((await pool.query('SELECT 1')).rowCount, 1);
  });

  it('keeps a connection after an SQL error and throws away one left in a transaction', async () => {
    await using pool = open({ max: 1 });
    const idOf = () =>
      pool.lend(async (client) => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number);
    const first = await idOf();
    await assert.rejects(
      pool.lend((client) => client.query('SELECT 1/0')),
      { code: '22012' },
    );
    assert.equal(await idOf(), first);
    await pool.lend((client) => client.query('BEGIN'));
    assert.notEqual(await idOf(), first);
  });

  it('runs prepared statements by name', async () => {
    await using pool = open({ max: 1 });
    const double = prepared<{ twice: number }>('test_double', 'SELECT $1::int * 2 AS twice');
    assert.deepEqual((await double(pool, 21)).rows, [{ twice: 42 }]);
    const { rows } = await pool.query('SELECT name FROM pg_prepared_statements');
    assert.deepEqual(rows, [{ name: 'test_double' }]);
    assert.throws(() => prepared('x'.repeat(64), 'SELECT 1'), /too long/);
  });

  it('commits, rolls back what throws, and keeps the connection for both', async () => {
    await using pool = open({ max: 1 });
    const count = async () =>
      (await pool.query('SELECT count(*)::int AS n, pg_backend_pid() AS pid FROM public.kept')).rows[0];
    await inTransaction(pool, {}, (client) => client.query('INSERT INTO public.kept VALUES (1)'));
    const { n, pid } = await count();
    assert.equal(n, 1);
    await assert.rejects(
      inTransaction(pool, {}, async (client) => {
        await client.query('INSERT INTO public.kept VALUES (2)');
        throw new Error('changed my mind');
      }),
      /changed my mind/,
    );
    assert.deepEqual(await count(), { n: 1, pid });
  });

  it('never reports a commit that did not happen', async () => {
    await using pool = open({ max: 1 });
    const swallow = inTransaction(pool, {}, async (client) => {
      await client.query('INSERT INTO public.kept VALUES (3)');
      await client.query('SELECT 1/0').catch(() => undefined);
    });
    await assert.rejects(swallow, /had failed and was rolled back/);
    // A deferred constraint speaks at COMMIT: a clear no.
    const duplicate = inTransaction(pool, {}, (client) => client.query('INSERT INTO public.kept VALUES (1)'));
    await assert.rejects(duplicate, { code: '23505' });
  });

  it('says so when a commit was sent and never answered', async () => {
    await using pool = open({ ...impatient, max: 1 });
    const lost = inTransaction(pool, {}, async (client) => {
      await client.query('SELECT 1');
      cluster.freeze();
    });
    await assert.rejects(lost, CommitUnknown).finally(() => cluster.thaw());
  });

  it('holds read-only transactions to their word', async () => {
    await using pool = open();
    const write = inTransaction(pool, { readOnly: true }, (client) =>
      client.query('INSERT INTO public.kept VALUES (9)'),
    );
    await assert.rejects(write, { code: '25006' });
  });
});
