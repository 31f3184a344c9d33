import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { EMBEDDED } from '#postgres/embedded-cluster.ts';
import { migrate, pendingMigrations, printRoles } from '#postgres/migrate.ts';
import { type TestCluster, type TestDatabase, testCluster } from '../harness/postgres.ts';

describe('migrations', () => {
  let cluster: TestCluster;
  let database: TestDatabase;
  let directory: string;

  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());
  beforeEach(async () => {
    database = await cluster.freshDatabase({ migrated: false });
    directory = await mkdtemp(join(tmpdir(), 'strongroom-migrations-'));
    await write(
      '0001-first.sql',
      'CREATE TABLE strongroom.first (id int); GRANT SELECT ON strongroom.first TO strongroom_app;',
    );
    await write('0002-second.sql', 'CREATE TABLE second (id int);');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const write = (name: string, sql: string) => writeFile(join(directory, name), sql);
  const run = (logins: object = { runtimeLogin: EMBEDDED.runtime, auditorLogin: EMBEDDED.auditor }) =>
    migrate({ url: database.migrateUrl, directory, log: silentLog, ...logins });

  async function ask<R extends object>(url: string, sql: string): Promise<R[]> {
    const client = await openConnection(url, { applicationName: 'test' });
    try {
      return (await client.query<R>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('applies in order, once', async () => {
    assert.deepEqual(
      (await run()).applied.map(({ name }) => name),
      ['0001-first', '0002-second'],
    );
    assert.deepEqual(await run(), { applied: [], version: 2 });
    await write('0003-third.sql', 'CREATE TABLE third (id int)');
    assert.deepEqual(
      (await run()).applied.map(({ number }) => number),
      [3],
    );
  });

  it('lets several processes migrate at once: one applies, the others find it done', async () => {
    const results = await Promise.all(Array.from({ length: 6 }, () => run()));
    assert.equal(results.flatMap(({ applied }) => applied).length, 2);
    assert.ok(results.every(({ version }) => version === 2));
  });

  it('stands several databases of one cluster making the same roles at once', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => cluster.freshDatabase({ migrated: false })));
    const logins = { runtimeLogin: EMBEDDED.runtime, auditorLogin: EMBEDDED.auditor };
    await Promise.all(others.map(({ migrateUrl: url }) => migrate({ url, directory, log: silentLog, ...logins })));
  });

  it('rolls a failed migration back whole, keeps those before it, and can go on', async () => {
    await write('0002-second.sql', 'CREATE TABLE second (id int); SELECT 1/0;');
    await assert.rejects(run(), /0002-second\.sql failed and was rolled back/);
    const [row] = await ask<{ gone: boolean }>(
      database.superuserUrl,
      "SELECT to_regclass('strongroom.second') IS NULL AS gone",
    );
    assert.equal(row?.gone, true);
    await write('0002-second.sql', 'CREATE TABLE second (id int);');
    assert.deepEqual(
      (await run()).applied.map(({ number }) => number),
      [2],
    );
  });

  it('refuses a migration that ends its transaction', async () => {
    await write('0002-second.sql', 'CREATE TABLE second (id int); COMMIT;');
    await assert.rejects(run(), (error: Error) => /must not end its transaction/.test(String(error.cause)));
  });

  it('refuses when the file of an applied migration was changed', async () => {
    await run();
    await appendFile(join(directory, '0001-first.sql'), '\n-- a harmless comment');
    await assert.rejects(run(), /migration 0001-first\.sql was changed after it had been applied/);
  });

  it('refuses a database that is newer than the code', async () => {
    await run();
    await rm(join(directory, '0002-second.sql'));
    await assert.rejects(run(), /newer than this release: it has migration 0002-second/);
  });

  it('refuses gaps and other names', async () => {
    await write('0004-fourth.sql', 'SELECT 1');
    await assert.rejects(run(), /numbered from 0001 without gaps/);
  });

  it('leaves everything to the owner role and nothing to the migration login', async () => {
    await run();
    const owners = await ask<{ owner: string }>(
      database.superuserUrl,
      "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'strongroom'::regnamespace",
    );
    assert.deepEqual(owners, [{ owner: 'strongroom_owner' }]);
    await assert.rejects(ask(database.migrateUrl, 'SELECT * FROM strongroom.first'), { code: '42501' });
    await assert.rejects(ask(database.runtimeUrl, 'CREATE TABLE strongroom.mine (id int)'), { code: '42501' });
    await assert.rejects(ask(database.runtimeUrl, 'CREATE TABLE public.mine (id int)'), { code: '42501' });
    await assert.rejects(ask(database.runtimeUrl, 'SET ROLE strongroom_owner'), { code: '42501' });
    await assert.rejects(ask(database.runtimeUrl, 'SET ROLE strongroom_auditor'), { code: '42501' });
    assert.deepEqual(await ask(database.runtimeUrl, 'SELECT * FROM strongroom.first'), []);
  });

  it('tells what is pending without changing anything', async () => {
    const client = await openConnection(database.migrateUrl, { applicationName: 'test' });
    assert.equal((await pendingMigrations(client, directory)).length, 2);
    await client.end();
    await run();
    const runtime = await openConnection(database.runtimeUrl, { applicationName: 'test' });
    assert.deepEqual(await pendingMigrations(runtime, directory), []);
    await runtime.end();
  });

  it('works as a login without CREATEROLE once a DBA has run what printRoles() prints', async () => {
    await ask(database.superuserUrl, "CREATE ROLE plain_migrator LOGIN PASSWORD 'plain'");
    const sql = printRoles({
      database: database.name,
      migrateLogin: 'plain_migrator',
      runtimeLogin: EMBEDDED.runtime,
      auditorLogin: EMBEDDED.auditor,
    });
    // In the test's cluster other databases have made the roles already.
    await ask(database.superuserUrl, sql.replaceAll(/^CREATE ROLE .*$/gm, ''));
    const url = database.migrateUrl.replace(/\/\/[^@]*@/, '//plain_migrator:plain@');
    const logins = { runtimeLogin: EMBEDDED.runtime, auditorLogin: EMBEDDED.auditor };
    assert.equal((await migrate({ url, directory, log: silentLog, ...logins })).version, 2);
  });

  it('refuses a database whose public schema is open to everybody', async () => {
    await ask(database.superuserUrl, 'GRANT CREATE ON SCHEMA public TO PUBLIC');
    await assert.rejects(run(), /REVOKE ALL ON SCHEMA public FROM PUBLIC/);
  });
});
