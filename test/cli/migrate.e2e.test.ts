import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { runStrongroom } from '../harness/gateway-process.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('strongroom db migrate', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  it('goes on the record with who did it, once: a second time there is nothing to do', async () => {
    const database = await cluster.freshDatabase({ migrated: false });
    const file = join(cluster.dataDir, 'migrate.url');
    await writeFile(file, database.migrateUrl, { mode: 0o600 });
    const run = async () => {
      const { code, stdout, stderr } = await runStrongroom(['db', 'migrate', '--json'], {
        DATABASE_URL: database.runtimeUrl,
        STRONGROOM_DATABASE__MIGRATEURL_FILE: file,
        STRONGROOM_KEYS__SEAL_FILE: join(cluster.dataDir, 'none'),
        STRONGROOM_KEYS__CHECKPOINT_FILE: join(cluster.dataDir, 'none'),
      });
      assert.equal(code, 0, stdout + stderr);
      return JSON.parse(stdout) as { version: number; applied: string[] };
    };
    const first = await run();
    assert.ok(first.applied.length > 1);
    assert.deepEqual((await run()).applied, []);
    const dba = openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog });
    const { rows } = await dba.query<{ record: string }>(
      "SELECT record FROM strongroom.entry WHERE action = 'database.migrate'",
    );
    await dba.close();
    const events = rows.map(({ record }) => JSON.parse(record).event);
    assert.deepEqual(
      events.map(({ actor, version, applied, os_user }) => ({ actor, version, applied, os_user })),
      [{ actor: 'system', version: first.version, applied: first.applied.length, os_user: userInfo().username }],
    );
  });
});
