import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { EMBEDDED } from '#postgres/embedded-cluster.ts';
import { migrate } from '#postgres/migrate.ts';
import { openPool } from '#postgres/pool.ts';
import { checkRuntimeLogin, UnsafeDatabase } from '#postgres/separation.ts';
import { inTransaction } from '#postgres/transaction.ts';
import { type TestCluster, type TestDatabase, testCluster } from '../harness/postgres.ts';

describe('separation of database logins', () => {
  let cluster: TestCluster;
  let database: TestDatabase;
  let directory: string;

  before(async () => {
    cluster = await testCluster();
    database = await cluster.freshDatabase({ migrated: false });
    directory = await mkdtemp(join(tmpdir(), 'strongroom-migrations-'));
    await run({ runtimeLogin: EMBEDDED.runtime, auditorLogin: EMBEDDED.auditor, signerLogin: EMBEDDED.signer });
  });
  after(async () => {
    await cluster.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const run = (logins: object) => migrate({ url: database.migrateUrl, directory, log: silentLog, ...logins });

  async function on<T>(
    url: string,
    work: (client: Awaited<ReturnType<typeof openConnection>>) => Promise<T>,
  ): Promise<T> {
    const client = await openConnection(url, { applicationName: 'test' });
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** A login made for one test, and what the check says of it. */
  async function judge(name: string, ...statements: string[]) {
    await on(database.superuserUrl, async (client) => {
      await client.query(
        `CREATE ROLE ${name} LOGIN PASSWORD 'secret'; GRANT CONNECT ON DATABASE ${database.name} TO ${name}`,
      );
      for (const statement of statements) await client.query(statement);
    });
    return on(database.runtimeUrl.replace(/\/\/[^@]*@/, `//${name}:secret@`), checkRuntimeLogin);
  }

  const refused = (pattern: RegExp) => (error: unknown) =>
    error instanceof UnsafeDatabase && pattern.test(error.message);

  it('is full with one login each', async () => {
    assert.deepEqual(await on(database.runtimeUrl, checkRuntimeLogin), { separation: 'full' });
    assert.deepEqual(await on(database.auditorUrl, checkRuntimeLogin), { separation: 'full' });
    assert.deepEqual(await on(database.signerUrl, checkRuntimeLogin), { separation: 'full' });
  });

  it('is reduced where one login has both roles, which it takes by SET LOCAL ROLE', async () => {
    await on(database.superuserUrl, (client) => client.query("CREATE ROLE only_one LOGIN PASSWORD 'secret'"));
    await run({ runtimeLogin: 'only_one' });
    await on(database.superuserUrl, (client) => client.query(`GRANT CONNECT ON DATABASE ${database.name} TO only_one`));
    const url = database.runtimeUrl.replace(/\/\/[^@]*@/, '//only_one:secret@');
    assert.deepEqual(await on(url, checkRuntimeLogin), { separation: 'reduced' });
    await using pool = openPool(url, { applicationName: 'test', log: silentLog });
    for (const role of ['strongroom_app', 'strongroom_auditor', 'strongroom_signer']) {
      const { rows } = await inTransaction(pool, { role, readOnly: true }, (client) =>
        client.query('SELECT current_user::text AS role'),
      );
      assert.deepEqual(rows, [{ role }]);
    }
    await run({ runtimeLogin: 'only_one', auditorLogin: EMBEDDED.auditor });
    assert.deepEqual(await on(url, checkRuntimeLogin), { separation: 'reduced' }, 'it still signs');
    await run({ runtimeLogin: 'only_one', auditorLogin: EMBEDDED.auditor, signerLogin: EMBEDDED.signer });
    assert.deepEqual(await on(url, checkRuntimeLogin), { separation: 'full' }, 'other logins take the roles away');
  });

  it('refuses a superuser', async () => {
    await assert.rejects(on(database.superuserUrl, checkRuntimeLogin), refused(/is a superuser/));
  });

  it('refuses the migration login, which can become the owner', async () => {
    await assert.rejects(on(database.migrateUrl, checkRuntimeLogin), refused(/owner/));
  });

  it('refuses BYPASSRLS, REPLICATION and the owner of the database', async () => {
    await assert.rejects(judge('bypasser', 'ALTER ROLE bypasser BYPASSRLS'), refused(/BYPASSRLS/));
    await assert.rejects(judge('replicator', 'ALTER ROLE replicator REPLICATION'), refused(/REPLICATION/));
    await assert.rejects(
      judge('master', `ALTER DATABASE ${database.name} OWNER TO master`),
      refused(/owns the database/),
    );
  });

  it('refuses a member of the owner at any distance, even one that would need SET ROLE', async () => {
    await assert.rejects(
      judge(
        'cousin',
        'CREATE ROLE between NOLOGIN',
        'GRANT strongroom_owner TO between WITH INHERIT FALSE, SET FALSE',
        'GRANT between TO cousin WITH INHERIT FALSE',
      ),
      refused(/member of the owner/),
    );
  });

  it('refuses roles that read the whole log or drop from it', async () => {
    for (const role of ['strongroom_verifier', 'strongroom_keeper']) {
      await assert.rejects(
        judge(`with_${role}`, `GRANT ${role} TO with_${role}`),
        refused(new RegExp(`member of ${role}`)),
      );
    }
  });

  it('refuses predefined roles that reach past every grant', async () => {
    await assert.rejects(judge('writer', 'GRANT pg_write_all_data TO writer'), refused(/pg_write_all_data/));
  });

  it('names all faults at once', async () => {
    await assert.rejects(
      judge('several', 'ALTER ROLE several BYPASSRLS REPLICATION'),
      (error: unknown) => error instanceof UnsafeDatabase && error.faults.length === 2,
    );
  });

  it('is not fooled by a role that was taken before', async () => {
    await on(database.superuserUrl, async (client) => {
      await client.query('SET ROLE strongroom_app');
      await assert.rejects(checkRuntimeLogin(client), refused(/superuser/));
    });
  });

  it('refuses a server with fsync off', async () => {
    // Answered by the server's setting alone; here the answer is forged instead of a server being put at risk.
    const forged = {
      query: async () => ({
        rows: [{ version: 180_000, fsync: 'off', full_page_writes: 'on', login: 'x', memberships: [] }],
      }),
    };
    await assert.rejects(checkRuntimeLogin(forged as never), refused(/fsync is off/));
  });

  it('refuses a server that is too old', async () => {
    const forged = {
      query: async () => ({
        rows: [{ version: 150_008, fsync: 'on', full_page_writes: 'on', login: 'x', memberships: [] }],
      }),
    };
    await assert.rejects(checkRuntimeLogin(forged as never), refused(/older than Postgres 16/));
  });
});
