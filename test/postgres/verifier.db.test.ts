import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { openConnection } from '#postgres/connection.ts';
import { printRoles } from '#postgres/migrate.ts';
import { checkRuntimeLogin } from '#postgres/separation.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { notes } from '../fakes/signed-log.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const DENIED = { code: '42501' };
/** What the verifier reads, and not one table more. */
const READABLE = [
  'checkpoint',
  'dropped_range',
  'entry',
  'head',
  'leaf',
  'migration',
  'signing_key',
  'tree',
  'tree_node',
];

describe('the role that reads the whole log', () => {
  let cluster: TestCluster;
  let estate: Estate;
  before(async () => {
    cluster = await testCluster();
    estate = await openEstate(cluster);
    await notes(estate.gateway('gw_1'), 3);
    await estate.dba.query(
      "SET session_replication_role = replica; UPDATE entry SET at = at - interval '200 days' WHERE seq < 2; RESET session_replication_role",
    );
  });
  after(async () => {
    await estate[Symbol.asyncDispose]();
    await cluster.stop();
  });

  const asVerifier = async <T>(work: (ask: (text: string) => Promise<{ rows: object[] }>) => Promise<T>) => {
    const client = await openConnection(estate.database.migrateUrl, { applicationName: 'test' });
    try {
      await client.query('SET ROLE strongroom_verifier');
      return await work((text) => client.query(text));
    } finally {
      await client.end();
    }
  };

  it('sees all of it, not seven days', async () => {
    const { rows } = await asVerifier((ask) => ask('SELECT seq FROM strongroom.entry'));
    assert.equal(rows.length, 3);
  });

  it('reads the log and no secret, and changes nothing', async () => {
    const tables = await estate.rows<{ relname: string }>(
      "SELECT relname FROM pg_class WHERE relnamespace = 'strongroom'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
    );
    await asVerifier(async (ask) => {
      for (const { relname } of tables) {
        const all = ask(`SELECT * FROM strongroom.${relname} LIMIT 1`);
        if (READABLE.includes(relname)) await all;
        else await assert.rejects(all, DENIED, relname);
        await assert.rejects(ask(`DELETE FROM strongroom.${relname}`), DENIED, relname);
        await assert.rejects(ask(`INSERT INTO strongroom.${relname} DEFAULT VALUES`), DENIED, relname);
      }
      await ask('SELECT event_id, seq FROM strongroom.open_intent');
      await assert.rejects(ask('SELECT actor FROM strongroom.open_intent'), DENIED);
      await assert.rejects(
        ask("SELECT strongroom.commit_batch('x', 'UTC', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"),
        DENIED,
      );
    });
  });

  it('is out of reach for the logins that serve requests, and a login that has it may not serve', async () => {
    for (const url of [estate.database.runtimeUrl, estate.database.auditorUrl]) {
      await assert.rejects(openPostgresLog(url), /must be granted strongroom_verifier/);
    }
    const login = decodeURIComponent(new URL(estate.database.auditorUrl).username);
    await estate.dba.query(`GRANT strongroom_verifier TO ${login}`);
    const client = await openConnection(estate.database.auditorUrl, { applicationName: 'test' });
    await assert.rejects(checkRuntimeLogin(client), /member of strongroom_verifier/);
    await client.end();
    await estate.dba.query(`REVOKE strongroom_verifier FROM ${login}`);
  });

  it('is in what a DBA is given to run', () => {
    assert.match(printRoles(), /CREATE ROLE strongroom_verifier NOLOGIN/);
    assert.match(printRoles(), /GRANT strongroom_verifier TO "?strongroom_migrator"? WITH SET TRUE, INHERIT FALSE/);
  });
});
