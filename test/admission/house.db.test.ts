import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { postgresLease } from '#admission/lease.postgres.ts';
import { type Estate, openEstate, type TestGateway, until } from '../fakes/ledger-estate.ts';
import { admit, note, settle } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const PARTITION = 1_048_576;

describe('keeping house', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const keepHouse = ({ pool, instance }: TestGateway) => postgresLease(pool, instance).keepHouse();
  const covered = (estate: Estate) => estate.value<string>('SELECT covered FROM head').then(Number);
  const partitions = (estate: Estate) =>
    estate
      .rows<{ name: string }>(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'entry'::regclass ORDER BY 1",
      )
      .then((rows) => rows.map(({ name }) => name));

  it('forgets ids after 24 hours, however many, and not before', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    const [old, young] = [admit(estate.who), admit(estate.who)];
    await gateway.commit([old, young]);
    await estate.dba.query("UPDATE dedupe SET created_at = now() - interval '24 h 1 s' WHERE event_id = $1", [old.id]);
    await estate.dba.query("UPDATE dedupe SET created_at = now() - interval '23 h 59 min' WHERE event_id = $1", [
      young.id,
    ]);
    await estate.dba.query(
      "INSERT INTO dedupe SELECT gen_random_uuid(), 'admitted', n, NULL, now() - interval '30 h' FROM generate_series(1, 12000) n",
    );
    await until(async () => {
      await keepHouse(gateway);
      return (await estate.value<number>('SELECT count(*)::int FROM dedupe')) <= 1;
    });
    assert.deepEqual(await estate.rows('SELECT event_id AS id FROM dedupe'), [{ id: young.id }]);
    assert.equal((await gateway.commit([young]))[0]?.verdict, 'duplicate');
  });

  it('removes what is over long since, and nothing that may still count', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    const intent = admit(estate.who);
    await estate.gateway('silent').commit([intent]);
    await gateway.commit([note()]);
    await estate.dba.query(`
      UPDATE instance SET lease_until = now() - interval '2 days' WHERE id = 'silent';
      INSERT INTO instance VALUES ('gone', 1, now(), now() - interval '25 h'), ('new', 1, now(), now() - interval '23 h');
      INSERT INTO session SELECT 's' || h, 'usr_0', '{}', now(), now(), 60, now() - h * interval '1 h' FROM generate_series(23, 25, 2) h;
      INSERT INTO quota_counter SELECT 'user:old_' || d || n, current_date - d, 0, 1, now(), 0, 0, n FROM generate_series(3, 12) d, generate_series(0, 1) n;
      INSERT INTO step_up_challenge (ref, account_id, session, digest, operation, created_at)
        SELECT 'c' || h, 'usr_0', 's', 'd', 'o', now() - h * interval '1 h' FROM generate_series(23, 25, 2) h`);
    await keepHouse(gateway);
    assert.deepEqual(await estate.rows('SELECT id FROM instance ORDER BY id'), [
      { id: 'gw' },
      { id: 'new' },
      { id: 'silent' },
    ]);
    assert.deepEqual(await estate.rows("SELECT ref FROM session WHERE ref LIKE 's2%' AND length(ref) = 3"), [
      { ref: 's23' },
    ]);
    assert.deepEqual(await estate.rows('SELECT ref FROM step_up_challenge'), [{ ref: 'c23' }]);
    const kept = 'SELECT min(day) >= current_date - 9 FROM quota_counter WHERE concurrent = 0';
    assert.equal(await estate.value(kept), true);
    assert.equal(await estate.value('SELECT count(*)::int FROM quota_counter WHERE concurrent > 0'), 11);
    assert.equal((await gateway.commit([settle(intent)]))[0]?.verdict, 'settled');
  });

  it('waits for nobody: rows that are held stay for the next time, and a second one at once does nothing', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    await estate.dba.query(
      "INSERT INTO session SELECT 's' || n, 'usr_0', '{}', now(), now(), 60, now() - interval '2 days' FROM generate_series(1, 3) n",
    );
    const old = () => estate.value<number>('SELECT count(*)::int FROM session WHERE expires_at < now()');
    const client = await estate.dba.connect();
    await client.query("BEGIN; SELECT * FROM session WHERE ref = 's2' FOR UPDATE");
    await keepHouse(gateway);
    assert.equal(await old(), 1);
    await client.query("ROLLBACK; BEGIN; SELECT pg_advisory_xact_lock(hashtext('strongroom.keep_house'))");
    await keepHouse(gateway);
    assert.equal(await old(), 1);
    await client.query('ROLLBACK');
    client.release();
    await keepHouse(gateway);
    assert.equal(await old(), 0);
  });

  it('makes partitions ahead of need, each with what keeps it append-only', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    await keepHouse(gateway);
    assert.equal(await covered(estate), 2 * PARTITION, 'two are there from the start');
    await estate.dba.query('UPDATE head SET size = $1', [PARTITION + 1]);
    await keepHouse(gateway);
    assert.equal(await covered(estate), 3 * PARTITION);
    await keepHouse(gateway);
    assert.deepEqual(await partitions(estate), ['entry_000000', 'entry_000001', 'entry_000002']);
    const triggers = await estate.rows<{ table: string; n: number }>(
      `SELECT tgrelid::regclass::text AS table, count(*)::int AS n FROM pg_trigger
       WHERE tgrelid::regclass::text LIKE 'entry\\_0%' AND tgfoid = 'refuse_change'::regproc GROUP BY 1`,
    );
    assert.deepEqual([...new Set(triggers.map(({ n }) => n))], [2]);
    assert.equal(triggers.length, 3);
    const owners = await estate.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'entry%'");
    assert.deepEqual(owners, [{ tableowner: 'strongroom_owner' }]);
  });

  it('a batch that crosses a boundary is dense in both partitions', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    await estate.dba.query('UPDATE head SET size = $1', [PARTITION - 3]);
    const verdicts = await gateway.commit(Array.from({ length: 8 }, () => admit(estate.who)));
    assert.deepEqual(
      verdicts.map(({ position }) => position?.seq),
      Array.from({ length: 8 }, (_, n) => PARTITION - 3 + n),
    );
    assert.deepEqual(
      await estate.rows('SELECT tableoid::regclass::text AS name, count(*)::int AS n FROM entry GROUP BY 1 ORDER BY 1'),
      [
        { name: 'entry_000000', n: 3 },
        { name: 'entry_000001', n: 5 },
      ],
    );
  });

  it('a batch that finds no partition makes it, although nobody kept house, with two gateways at once', async () => {
    await using estate = await openEstate(cluster);
    await estate.dba.query('UPDATE head SET size = $1', [2 * PARTITION - 10]);
    const committed = await Promise.all(
      ['a', 'b', 'c'].map((name) => estate.gateway(name).commit(Array.from({ length: 8 }, () => note()))),
    );
    const seqs = committed.flat().map(({ position }) => position?.seq ?? -1);
    assert.deepEqual(
      seqs.sort((a, b) => a - b),
      Array.from({ length: 24 }, (_, n) => 2 * PARTITION - 10 + n),
    );
    assert.equal(await covered(estate), 3 * PARTITION);
  });

  it('is not held up by an auditor who reads', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    await gateway.commit([note()]);
    const client = await estate.dba.connect();
    await client.query('BEGIN; SET LOCAL ROLE strongroom_auditor; SELECT count(*) FROM entry');
    await estate.dba.query('UPDATE head SET size = $1', [2 * PARTITION - 1]);
    const [verdict] = await gateway.commit([note()]);
    assert.equal(verdict?.position?.seq, 2 * PARTITION - 1);
    await gateway.commit([note()]);
    assert.equal(await covered(estate), 3 * PARTITION);
    await client.query('ROLLBACK');
    client.release();
  });
});
