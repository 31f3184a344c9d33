import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { registerSigningKey } from '#audit/signing-key.postgres.ts';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, settle } from '../fakes/ledger-items.ts';
import { ORIGIN, SIGNER, treeOf } from '../fakes/tree-estate.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

/** All that the gateway's login may call. A function that is not in this list can't be called by accident either. */
const GRANTED = [
  'active_admins()',
  'check_principals(json)',
  'checkpoint_at(bigint)',
  'clear_guesses(text,text)',
  'commit_batch(text,text,text[],text[],bigint[],bigint[],text[],text[],batch_item[])',
  'count_accounts()',
  'current_policy()',
  'desired_states()',
  'dropped_until()',
  'exchange_reports(text,text,json)',
  'find_account(text)',
  'find_challenge(text,text)',
  'find_enrolment(text)',
  'find_federated(text)',
  'find_policy(bigint)',
  'find_principal(text,text)',
  'has_passkey(text)',
  'hold_seal_keys(text,text[])',
  'keep_house()',
  'key_files(text)',
  'latest_checkpoint()',
  'list_accounts()',
  'list_all_keys()',
  'list_holds()',
  'list_keys(text)',
  'list_passkeys(text)',
  'list_policies()',
  'list_quotas()',
  'list_sessions(text)',
  'log_growth()',
  'model_states()',
  'orphaned_intents()',
  'own_receipt(text,text)',
  'pending_totp(text)',
  'policy_accounts()',
  'quota_scope_exists(text)',
  'quota_usage_of(json,text)',
  'register_signing_key(text,bytea)',
  'renew_lease(text)',
  'return_guess(text,text)',
  'score_models(boolean)',
  'sealed_otherwise(text)',
  'session_of(text)',
  'signing_keys()',
  'take_guess(text,text)',
  'take_webauthn_challenge(text,text,text)',
  'tree_nodes(integer[],bigint[])',
  'tree_state()',
  'withdraw_report(text)',
  'without_seal_key(text)',
];
/** Of the login that signs, which serves no request, and of the keeper, whom nobody is but a person at the command line. */
const SIGNS = ['extend_tree(bigint,integer)', 'lead_tree(text)', 'put_checkpoint(bigint,bigint,bytea,text)'];
const KEEPS = [
  'checkpoint_at(bigint)',
  'commit_batch(text,text,text[],text[],bigint[],bigint[],text[],text[],batch_item[])',
  'cut_log()',
  'forget_openings(integer)',
  'latest_checkpoint()',
  'retention_state(integer)',
  'signing_keys()',
  'tree_nodes(integer[],bigint[])',
  'tree_state()',
];
const WRITES = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'];
const DENIED = { code: '42501' };
const APPEND_ONLY = { code: '42501', message: 'the audit log is append-only' };

describe('promise 4: the application can only append', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let gateway: GuardedPool;
  let auditor: GuardedPool;
  let tables: string[];
  before(async () => {
    cluster = await testCluster();
    estate = await openEstate(cluster);
    const { commit, pool } = estate.gateway('gw_1');
    const intent = admit(estate.who);
    await commit([intent, admit(estate.who)]);
    await commit([settle(intent, null, { opening: '00'.repeat(32) })]);
    await registerSigningKey(pool, ORIGIN, SIGNER.publicKey);
    await (await treeOf(estate, 'gw_2')).sign();
    await estate.dba.query("INSERT INTO dropped_range VALUES (0, 1, '2024-01-01T00:00:00Z', 9, now())");
    gateway = pool;
    auditor = openPool(estate.database.auditorUrl, { applicationName: 'auditor', log: silentLog });
    const rows = await estate.rows<{ relname: string }>(
      "SELECT relname FROM pg_class WHERE relnamespace = 'strongroom'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') ORDER BY 1",
    );
    tables = rows.map(({ relname }) => relname);
    assert.ok(tables.includes('entry') && tables.includes('entry_000000') && tables.length > 14);
  });
  after(async () => {
    await auditor.close();
    await estate[Symbol.asyncDispose]();
    await cluster.stop();
  });

  const columnOf = (table: string) =>
    estate.value<string>(
      'SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1',
      [`strongroom.${table}`],
    );
  const refusesAll = async (pool: GuardedPool, readable: readonly string[]) => {
    for (const table of tables) {
      const column = await columnOf(table);
      const select = pool.query(`SELECT ${column} FROM strongroom.${table}`);
      if (readable.includes(table)) await select;
      else await assert.rejects(select, DENIED, `${table} can be read`);
      for (const statement of [
        `INSERT INTO strongroom.${table} DEFAULT VALUES`,
        `UPDATE strongroom.${table} SET ${column} = ${column}`,
        `DELETE FROM strongroom.${table}`,
        `TRUNCATE strongroom.${table}`,
        `COPY strongroom.${table} TO STDOUT`,
        `DO $$ BEGIN LOCK TABLE strongroom.${table} IN ACCESS EXCLUSIVE MODE; END $$`,
        `ALTER TABLE strongroom.${table} DISABLE TRIGGER ALL`,
        `DROP TABLE strongroom.${table}`,
      ]) {
        if (statement.startsWith('COPY') && readable.includes(table)) continue;
        await assert.rejects(pool.query(statement), DENIED, statement);
      }
    }
  };
  const privileges = (login: string) =>
    estate.rows(
      `SELECT c.relname || ' ' || p AS it FROM pg_class c, unnest($2::text[]) p
       WHERE c.relnamespace = 'strongroom'::regnamespace AND c.relkind IN ('r', 'p') AND has_table_privilege($1, c.oid, p)`,
      [login, WRITES],
    );
  const callable = (role: string) =>
    estate.rows<{ it: string }>(
      `SELECT p.oid::regprocedure::text AS it FROM pg_proc p
       WHERE p.pronamespace = 'strongroom'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE') ORDER BY 1`,
      [role],
    );
  const loginOf = async (pool: GuardedPool): Promise<string> =>
    (await pool.query<{ me: string }>('SELECT current_user AS me')).rows[0]?.me ?? assert.fail();

  it('its login reads and writes no table but the list of migrations', async () => {
    await refusesAll(gateway, ['migration']);
    assert.deepEqual(await privileges(await loginOf(gateway)), []);
  });

  it('its login can call what it was granted and nothing else', async () => {
    const found = (await callable(await loginOf(gateway))).map(({ it }) => it);
    assert.deepEqual(found, GRANTED);
    for (const call of [
      "apply_change('session.end', '{}', now())",
      'cover_log(1048576000)',
      "judge_principals('[]', now())",
      "limits_of('[]', now())",
    ]) {
      await assert.rejects(gateway.query(`SELECT * FROM strongroom.${call}`), DENIED, call);
    }
  });

  it('its login neither extends the tree nor puts a checkpoint; the signer does nothing else', async () => {
    for (const call of ["lead_tree('x')", 'extend_tree(1, 1)', "put_checkpoint(1, 1, '', '')"]) {
      await assert.rejects(gateway.query(`SELECT * FROM strongroom.${call}`), DENIED, call);
    }
    await assert.rejects(gateway.query('SET ROLE strongroom_signer'), DENIED);
    await assert.rejects(gateway.query('SET ROLE strongroom_keeper'), DENIED);
    assert.deepEqual(
      (await callable('strongroom_signer')).map(({ it }) => it),
      SIGNS,
    );
    assert.deepEqual(
      (await callable('strongroom_keeper')).map(({ it }) => it),
      KEEPS,
    );
    assert.deepEqual([await privileges('strongroom_signer'), await privileges('strongroom_keeper')], [[], []]);
    const signer = openPool(estate.database.signerUrl, { applicationName: 'signer', log: silentLog });
    try {
      await refusesAll(signer, ['migration']);
      await assert.rejects(
        signer.query("SELECT strongroom.commit_batch('x', 'UTC', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"),
        DENIED,
      );
      await assert.rejects(signer.query('SET ROLE strongroom_app'), DENIED);
    } finally {
      await signer.close();
    }
  });

  it('its login can not become somebody else, nor make anything', async () => {
    for (const statement of [
      'SET ROLE strongroom_owner',
      'SET ROLE strongroom_auditor',
      'SET session_replication_role = replica',
      'CREATE TABLE strongroom.mine (a int)',
      'CREATE TABLE public.mine (a int)',
      'CREATE FUNCTION strongroom.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT clock_timestamp() $$',
      'CREATE SCHEMA mine',
      "COPY (SELECT 1) TO PROGRAM 'true'",
      'CREATE EXTENSION dblink',
    ]) {
      await assert.rejects(
        gateway.query(statement),
        (error: { code: string }) => /^(42501|0A000|58P01)$/.test(error.code),
        statement,
      );
    }
  });

  it('objects of its own in pg_temp do not come before those of the functions', async () => {
    const client = await gateway.connect();
    try {
      await client.query('CREATE TEMP TABLE head (id boolean, size bigint)').catch(() => undefined);
      await client.query('CREATE TEMP TABLE account (id text)').catch(() => undefined);
      const { rows } = await client.query('SELECT strongroom.count_accounts()::int AS n');
      assert.deepEqual(rows, [{ n: 1 }]);
    } finally {
      client.release(true);
    }
  });

  it('functions that run as the owner have a fixed search path, and nobody else may call any', async () => {
    const loose = await estate.rows(
      `SELECT proname FROM pg_proc WHERE pronamespace = 'strongroom'::regnamespace AND prosecdef
         AND NOT coalesce('search_path=strongroom, pg_temp' = ANY (proconfig), false)`,
    );
    assert.deepEqual(loose, []);
    await estate.dba.query('DO $$ BEGIN CREATE ROLE test_nobody; EXCEPTION WHEN duplicate_object THEN NULL; END $$');
    assert.deepEqual(await callable('test_nobody'), []);
  });

  it('the owner of the log itself is refused, in the table and in each partition', async () => {
    const owner = await openConnection(estate.database.migrateUrl, { applicationName: 'owner' });
    await owner.query('SET ROLE strongroom_owner');
    for (const table of [
      'entry',
      'entry_000000',
      'leaf',
      'policy_version',
      'tree_node',
      'checkpoint',
      'signing_key',
      'dropped_range',
    ]) {
      const column = await columnOf(table);
      for (const statement of [
        `UPDATE ${table} SET ${column} = ${column}`,
        `DELETE FROM ${table}`,
        `TRUNCATE ${table}`,
        `TRUNCATE ${table} CASCADE`,
      ]) {
        await assert.rejects(owner.query(statement), APPEND_ONLY, statement);
      }
    }
    await assert.rejects(
      owner.query('MERGE INTO leaf USING (SELECT 0 AS s) x ON seq = s WHEN MATCHED THEN DELETE'),
      APPEND_ONLY,
    );
    await assert.rejects(
      owner.query("INSERT INTO leaf VALUES (0, sha256('')) ON CONFLICT (seq) DO UPDATE SET hash = excluded.hash"),
      APPEND_ONLY,
    );
    await owner.end();
    assert.equal(await estate.value('SELECT count(*)::int FROM entry'), 3);
  });

  it('the auditor’s login reads the log and names of persons, and no partition behind its row security', async () => {
    await refusesAll(auditor, [
      'entry',
      'leaf',
      'actor_name',
      'migration',
      'tree',
      'tree_node',
      'checkpoint',
      'signing_key',
    ]);
    assert.deepEqual(await privileges(await loginOf(auditor)), []);
    assert.deepEqual(await callable(await loginOf(auditor)), []);
  });
});
