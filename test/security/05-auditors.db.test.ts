import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { postgresAuditReader } from '#audit/audit.postgres.ts';
import type { AuditReader, EventFilter } from '#audit/audit.ts';
import { silentLog } from '#kernel/log.ts';
import { openConnection } from '#postgres/connection.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, note } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const COLUMNS = 'seq, at, event_id, kind, actor, action, resource, outcome, request_id, record';

describe('promise 5: auditors see seven days, by the clock of the database', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let pool: GuardedPool;
  let reader: AuditReader;
  before(async () => {
    cluster = await testCluster();
    estate = await openEstate(cluster);
    pool = openPool(estate.database.auditorUrl, { applicationName: 'auditor', log: silentLog });
    reader = postgresAuditReader(pool);
    // Around the boundary: 2,000 records from 10 s before it to 190 s after it, one every 0.1 s; and old ones.
    await estate.dba.query(`
      INSERT INTO entry (${COLUMNS})
        SELECT n, now() - interval '7 days' - interval '10 s' + n * interval '0.1 s', gen_random_uuid(), 'intent', 'usr_0',
               'infer', 'model:demo', 'admitted', 'req_' || n, '{}' FROM generate_series(0, 1999) n;
      INSERT INTO entry (${COLUMNS})
        SELECT 5000 + n, now() - n * interval '1 day', gen_random_uuid(), 'intent', 'usr_9', 'infer', 'model:old', 'admitted',
               NULL, '{}' FROM generate_series(7, 400) n;
      INSERT INTO leaf SELECT seq, sha256('') FROM entry;
      INSERT INTO actor_name VALUES ('usr_9', 'old')`);
  });
  after(async () => {
    await pool.close();
    await estate[Symbol.asyncDispose]();
    await cluster.stop();
  });

  const boundary = () => estate.value<string>("SELECT (clock_timestamp() - interval '7 days')::text");
  const between = (from: string, to: string) =>
    estate.value<string[] | null>('SELECT array_agg(seq::text ORDER BY seq) FROM entry WHERE at >= $1 AND at < $2', [
      from,
      to,
    ]);
  const everything = async (filter: Omit<EventFilter, 'limit'> = {}) => {
    const seen: string[] = [];
    for (let cursor = filter.cursor; ; ) {
      const page = await reader.page({ ...filter, cursor, limit: 200 });
      seen.push(...page.map(({ seq }) => seq));
      if (page.length < 200) return seen.reverse();
      cursor = page.at(-1)?.seq;
    }
  };

  it('to the record: what was older at the start of a look is hidden, what is younger at its end is seen', async () => {
    const before = await boundary();
    const seen = new Set(await everything());
    const after = await boundary();
    const hidden = (await between('-infinity', before)) ?? [];
    const visible = (await between(after, 'infinity')) ?? [];
    assert.ok(hidden.length > 400 && visible.length > 0, 'both sides of the boundary are there');
    assert.deepEqual(
      hidden.filter((seq) => seen.has(seq)),
      [],
    );
    assert.deepEqual(
      visible.filter((seq) => !seen.has(seq)),
      [],
    );
  });

  it('in one statement: exactly what is at or after now() - 7 days, within 1 s on both sides', async () => {
    const client = await openConnection(estate.database.auditorUrl, { applicationName: 'auditor' });
    const { rows } = await client.query(
      "SELECT (now() - interval '7 days')::text AS boundary, array_agg(seq::text ORDER BY seq) AS seen FROM entry WHERE seq < 2000",
    );
    await client.end();
    const [{ boundary, seen }] = rows;
    assert.deepEqual(
      seen,
      await estate.value('SELECT array_agg(seq::text ORDER BY seq) FROM entry WHERE seq < 2000 AND at >= $1', [
        boundary,
      ]),
    );
    const near = await estate.rows<{ side: boolean; n: number }>(
      `SELECT at >= $1 AS side, count(*)::int AS n FROM entry
       WHERE at BETWEEN $1::timestamptz - interval '1 s' AND $1::timestamptz + interval '1 s' GROUP BY 1 ORDER BY 1`,
      [boundary],
    );
    assert.deepEqual(
      near.map(({ side }) => side),
      [false, true],
    );
  });

  it('no filter widens it', async () => {
    const before = await boundary();
    const old = new Set(await between('-infinity', before));
    for (const filter of [
      { from: '1970-01-01T00:00:00Z' },
      { from: '-infinity', to: 'infinity' },
      { to: before },
      { actor: 'usr_9' },
      { actor: 'old' },
      { resource: 'model:old' },
      { request_id: 'req_3' },
      { cursor: '999999999999999999' },
    ]) {
      assert.deepEqual(
        (await everything(filter)).filter((seq) => old.has(seq)),
        [],
        JSON.stringify(filter),
      );
    }
    assert.equal(await reader.find('3'), null);
    assert.equal(await reader.find('5400'), null);
    assert.equal((await reader.find('1999'))?.leaf.length, 64);
  });

  it('no setting of the client’s connection widens it', async () => {
    const client = await openConnection(estate.database.auditorUrl, { applicationName: 'auditor' });
    const old = "SELECT count(*)::int AS n FROM strongroom.entry WHERE at < clock_timestamp() - interval '7 days 1 s'";
    for (const setting of [
      "SET TIME ZONE 'Pacific/Kiritimati'",
      "SET TIME ZONE INTERVAL '+14:00' HOUR TO MINUTE",
      "SET intervalstyle = 'sql_standard'",
      'SET row_security = on',
      'SET search_path = pg_temp, strongroom',
      "SET datestyle = 'SQL, DMY'",
      'SET ROLE strongroom_auditor',
      'BEGIN ISOLATION LEVEL REPEATABLE READ; COMMIT',
    ]) {
      await client.query(setting);
      assert.deepEqual((await client.query(old)).rows, [{ n: 0 }], setting);
    }
    await client.query('RESET ALL');
    await client.query('SET row_security = off');
    await assert.rejects(client.query(old), { code: '42501' });
    await client.query('SET row_security = on');
    for (const denied of [
      'SET SESSION AUTHORIZATION strongroom_owner',
      'SET ROLE strongroom_owner',
      'ALTER TABLE strongroom.entry DISABLE ROW LEVEL SECURITY',
      'DROP POLICY seven_days ON strongroom.entry',
      'CREATE POLICY all_days ON strongroom.entry USING (true)',
      'SELECT * FROM strongroom.entry_000000',
      'SELECT * FROM strongroom.opening',
      "SELECT pg_read_file('PG_VERSION')",
    ]) {
      await assert.rejects(client.query(denied), { code: '42501' }, denied);
    }
    // A function in the predicate that tells what it sees runs after the row security.
    await client
      .query(
        "CREATE FUNCTION pg_temp.tell(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', t; RETURN true; END $$",
      )
      .catch(() => undefined);
    const told: string[] = [];
    client.on('notice', ({ message }) => told.push(message ?? ''));
    await client.query('SELECT count(*) FROM strongroom.entry WHERE pg_temp.tell(resource)').catch(() => undefined);
    assert.ok(!told.includes('model:old'));
    await client.end();
  });

  it('SQL in a filter is a value like any other', async () => {
    const attacks = [
      "' OR true --",
      "' OR '1'='1",
      "'; DROP TABLE strongroom.entry; --",
      "') UNION SELECT seq, '', '', '', '', '', '', '', '' FROM strongroom.entry_000000 --",
      '$1',
      '?',
      '%',
      '\\',
      "\\'; SELECT 1; --",
      "E'\\x27 OR true'",
      '\u2019 OR true',
      "a' || pg_sleep(10) || '",
    ];
    for (const attack of attacks) {
      for (const name of ['actor', 'action', 'resource', 'outcome', 'request_id'] as const) {
        assert.deepEqual(await reader.page({ [name]: attack, limit: 200 }), [], `${name}=${attack}`);
      }
      for (const name of ['from', 'to', 'cursor'] as const) {
        await assert.rejects(reader.page({ [name]: attack, limit: 200 }), { code: /^22/ }, `${name}=${attack}`);
      }
      await assert.rejects(reader.find(attack), { code: /^22/ });
      await assert.rejects(reader.page({ limit: attack as unknown as number }), { code: /^22/ });
    }
    assert.equal((await reader.page({ limit: 1 })).length, 1);
  });
});

describe('an auditor’s search', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  it('each filter narrows exactly, also all together', async () => {
    await using estate = await openEstate(cluster, { analysts: 3, requests: 2 });
    const { commit } = estate.gateway('gw_1');
    await estate.dba.query(
      "INSERT INTO actor_name VALUES ('usr_0', 'anna'), ('usr_1', 'twin'), ('usr_2', 'twin'), ('usr_x', 'usr_2')",
    );
    const items = estate.analysts.flatMap((who) =>
      [1, 2, 3].map((n) => admit(who, { request: `req_${who.account}_${n}` })),
    );
    const positions = (await commit([...items, note()])).map(({ position }) => position);
    await using pool = openPool(estate.database.auditorUrl, { applicationName: 'auditor', log: silentLog });
    const reader = postgresAuditReader(pool);
    const found = async (filter: Omit<EventFilter, 'limit'>) =>
      (await reader.page({ ...filter, limit: 200 })).map(({ seq }) => Number(seq)).reverse();
    assert.deepEqual(await found({}), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(await found({ actor: 'usr_0' }), [0, 1, 2]);
    assert.deepEqual(await found({ actor: 'anna' }), [0, 1, 2]);
    assert.deepEqual(await found({ actor: 'twin' }), [3, 4, 5, 6, 7, 8], 'all who had the name');
    assert.deepEqual(await found({ actor: 'usr_2' }), [6, 7, 8], 'a name that looks like an id hides nobody');
    assert.deepEqual(await found({ actor: 'Anna' }), []);
    assert.deepEqual(await found({ outcome: 'denied' }), [2, 5, 8]);
    assert.deepEqual(await found({ action: 'note' }), [9]);
    assert.deepEqual(await found({ resource: 'gateway:test' }), [9]);
    assert.deepEqual(await found({ request_id: 'req_usr_1_2' }), [4]);
    const [from, to] = [positions[3]?.at, positions[6]?.at];
    assert.ok(from !== undefined && to !== undefined);
    const within = positions.flatMap((position, n) => (position && position.at >= from && position.at < to ? [n] : []));
    assert.deepEqual(await found({ from, to }), within);
    assert.deepEqual(await found({ cursor: '3' }), [0, 1, 2]);
    assert.deepEqual(
      await found({ actor: 'usr_1', action: 'infer', outcome: 'denied', resource: 'model:demo', cursor: '9' }),
      [5],
    );
    const [one] = await reader.page({ actor: 'anna', outcome: 'denied', limit: 1 });
    assert.deepEqual([one?.actor, one?.actorName, one?.kind, one?.at], ['usr_0', 'anna', 'denial', positions[2]?.at]);
    assert.equal((await reader.find('9'))?.leaf, positions[9]?.leaf);
  });

  it('pages through a log that grows: nothing twice, nothing left out', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const grow = (n: number) => commit(Array.from({ length: n }, () => note()));
    await grow(95);
    await using pool = openPool(estate.database.auditorUrl, { applicationName: 'auditor', log: silentLog });
    const reader = postgresAuditReader(pool);
    const seen: number[] = [];
    let cursor: string | undefined;
    do {
      const [page] = await Promise.all([reader.page({ limit: 10, cursor }), seen.length > 0 ? grow(7) : undefined]);
      seen.push(...page.map(({ seq }) => Number(seq)));
      cursor = page.length === 10 ? page.at(-1)?.seq : undefined;
    } while (cursor !== undefined);
    assert.deepEqual(
      seen,
      Array.from({ length: 95 }, (_, n) => 94 - n),
    );
  });
});
