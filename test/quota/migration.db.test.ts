import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { EMBEDDED } from '#postgres/embedded-cluster.ts';
import { migrate } from '#postgres/migrate.ts';
import { MIGRATIONS, type TestCluster, testCluster } from '../harness/postgres.ts';

describe('a database from before there were counters', () => {
  let cluster: TestCluster;
  let older: string;
  before(async () => {
    cluster = await testCluster();
    older = await mkdtemp(join(tmpdir(), 'strongroom-migrations-'));
  });
  after(async () => {
    await rm(older, { recursive: true });
    await cluster.stop();
  });

  it('keeps what was used today and what open requests have reserved', async () => {
    const names = (await readdir(MIGRATIONS)).sort();
    const before = names.slice(
      0,
      names.findIndex((name) => name.endsWith('-quota.sql')),
    );
    for (const name of before) await copyFile(join(MIGRATIONS, name), join(older, name));
    const database = await cluster.freshDatabase({ migrated: false });
    const login = { runtimeLogin: EMBEDDED.runtime, auditorLogin: EMBEDDED.auditor, log: silentLog };
    await migrate({ url: database.migrateUrl, directory: older, ...login });
    const dba = await openConnection(database.superuserUrl, { applicationName: 'dba' });
    try {
      await dba.query(`SET search_path = strongroom;
        INSERT INTO quota_usage VALUES ('usr_1', 'requests_day', current_date - 1, 9), ('usr_1', 'requests_day', current_date, 3),
          ('usr_1', 'tokens_day', current_date, 700);
        INSERT INTO open_intent (event_id, seq, request_id, instance, epoch, actor, action, resource, kind, day, reserved, opened_at)
          VALUES (gen_random_uuid(), 1, 'req_1', 'gw', 1, 'usr_1', 'infer', 'model:demo', 'intent', current_date,
            ARRAY[('usr_1', 'requests_day', 1)::reservation, ('usr_1', 'tokens_day', 500)::reservation], now())`);
      await migrate({ url: database.migrateUrl, directory: MIGRATIONS, ...login });
      const { rows } = await dba.query(
        'SELECT subject, requests_day::int AS requests, tokens_day::int AS tokens, concurrent::int AS open, day = current_date AS today FROM quota_counter',
      );
      assert.deepEqual(rows, [{ subject: 'user:usr_1', requests: 3, tokens: 700, open: 1, today: true }]);
      const open = await dba.query(
        'SELECT party, tokens::int AS tokens, day_tokens::int AS of_day, token_day = day AS same FROM open_intent',
      );
      assert.deepEqual(open.rows, [{ party: ['user:usr_1'], tokens: 500, of_day: 500, same: true }]);
      const { rows: limits } = await dba.query(
        "SELECT count(*)::int AS n FROM quota_limit WHERE scope = 'role:analyst'",
      );
      assert.deepEqual(limits, [{ n: 5 }]);
    } finally {
      await dba.end();
      await database.drop();
    }
  });
});
