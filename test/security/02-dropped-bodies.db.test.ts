import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dropText, parseRanges } from '#audit/drop.ts';
import { recordText } from '#audit/event.ts';
import { rootOf } from '#audit/merkle.shared.ts';
import { type Signer, signNote } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import type { VerifyResult } from '#audit/verify.service.ts';
import { newEventId } from '#kernel/id.ts';
import { type Estate, openEstate, type TestGateway } from '../fakes/ledger-estate.ts';
import { openTestKeeper, pastRecords, type TestKeeper } from '../fakes/past-log.ts';
import { newSigner, sign, verifyEstate } from '../fakes/signed-log.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const found = ({ findings }: VerifyResult) => findings.map(({ kind, seq, to }) => `${kind} ${seq}-${to}`);

describe('bodies dropped as a DBA would fake it', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let gateway: TestGateway;
  let keeper: TestKeeper;
  let signer: Signer;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  /** Partitions 0-512 and 512-768 of 600 and 500 days, and what is in 768-… is 300 days old. */
  const retention = (name: string, work: () => Promise<void>) =>
    it(name, async () => {
      signer = newSigner();
      await using opened = await openEstate(cluster);
      estate = opened;
      gateway = estate.gateway('gw_1');
      await using kept = openTestKeeper(estate, signer);
      keeper = kept;
      await estate.dba.query('UPDATE tree SET epoch = 1');
      await pastRecords(estate, 500, 600);
      assert.equal(await cut(), 512);
      await pastRecords(estate, 268, 500);
      assert.equal(await cut(), 768);
      await pastRecords(estate, 300, 300);
      await sign(estate, signer);
      await work();
    });
  const cut = async () => Number(await keeper.pool.query('SELECT cut_log() AS n').then(({ rows }) => rows[0]?.['n']));
  const verify = () => verifyEstate(estate, signer);
  const attack = (...statements: string[]) =>
    estate.dba.lend(async (client) => {
      await client.query('BEGIN; SET LOCAL session_replication_role = replica');
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
    });

  const drop = (from: number) => `DROP TABLE entry_000000${from === 0 ? '' : `_${from}`}`;
  const claim = async (by: Signer, change: object = {}) => {
    const { readNode } = postgresTree(keeper.pool);
    const newest = await estate.value<string>(
      `SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM entry WHERE seq < 512`,
    );
    const statement = {
      origin: signer.name,
      from: 0,
      to: 512,
      newest,
      days: 400,
      root: await rootOf(nodeCrypto.sha256, 512, readNode),
      dropped: parseRanges('0-512'),
      ...change,
    };
    return { statement, note: await signNote(nodeCrypto.sha256, dropText(statement), by) };
  };
  /** The record by the one way in, which whoever has the database can call. */
  const announce = async (note: string, ranges: readonly (readonly [number, number])[] = [[0, 512]]) => {
    const event = {
      kind: 'system' as const,
      actor: 'system',
      action: 'audit.drop',
      resource: `log:${signer.name}`,
      outcome: 'completed',
      request: null,
      facts: { from: 0, statement: note, to: 512 },
    };
    const size = await estate.value<string>('SELECT size FROM head');
    await gateway.commit([{ op: 'record', id: newEventId(), record: recordText(event), refusal: null }]);
    for (const [from, to] of ranges) {
      await estate.dba.query("INSERT INTO dropped_range VALUES ($1, $2, now() - interval '600 days', $3, now())", [
        from,
        to,
        size,
      ]);
    }
    await sign(estate, signer);
  };

  retention('without a record: the bodies are missing', async () => {
    await attack(drop(0));
    assert.deepEqual(found(await verify()), ['missing 0-511']);
  });

  retention('with a record that the key of the log did not sign', async () => {
    const { note } = await claim(newSigner(signer.name));
    await attack(drop(0));
    await announce(note);
    const result = await verify();
    assert.deepEqual(found(result).sort(), ['drop 1068-1068', 'missing 0-511']);
    assert.match(result.findings.find(({ kind }) => kind === 'drop')?.detail ?? '', /not signed by this key/);
  });

  retention('with a signed record of less than what is gone', async () => {
    const { note } = await claim(signer);
    await attack(drop(0), drop(512));
    await announce(note);
    assert.deepEqual(found(await verify()), ['missing 512-767']);
  });

  retention('before 184 days, or before the days that it says', async () => {
    const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().replace('Z', '000Z');
    const { note } = await claim(signer, { newest: ago(183), days: 184 });
    await attack(drop(0));
    await announce(note);
    assert.match((await verify()).first?.detail ?? '', /after 183 days, 184 is the least/);
    assert.deepEqual(found(await verify()), ['drop 1068-1068']);
  });

  retention('with a root that is not the tree’s, or of another log', async () => {
    const { note } = await claim(signer, { root: new Uint8Array(32) });
    await attack(drop(0));
    await announce(note);
    assert.match((await verify()).first?.detail ?? '', /root that it gives for size 512/);
  });

  retention('and forgetting an earlier drop, or that there was one', async () => {
    await keeper.retain();
    await sign(estate, signer);
    assert.deepEqual((await verify()).findings, []);
    const { note } = await claim(signer, { newest: '2020-01-01T00:00:00.000000Z' });
    await announce(note, [[5000, 5001]].map(([from, to]) => [from, to] as never).slice(0, 0));
    await attack('UPDATE dropped_range SET announced = 1070');
    const result = await verify();
    assert.ok(found(result).includes('missing 512-767'), found(result).join());
    await attack('DELETE FROM dropped_range');
    assert.ok(found(await verify()).includes('missing 0-767'));
  });

  retention('by putting bodies back, or changing a leaf under the drop', async () => {
    await attack('CREATE TABLE saved AS SELECT * FROM entry WHERE seq < 512');
    await keeper.retain();
    await sign(estate, signer);
    await attack("UPDATE leaf SET hash = sha256('x') WHERE seq = 20");
    assert.equal((await verify()).first?.seq, 20);
    await attack(
      "UPDATE leaf SET hash = (SELECT sha256('\\x00'::bytea || convert_to(record, 'UTF8')) FROM saved s WHERE s.seq = 20) WHERE seq = 20",
      'CREATE TABLE entry_back PARTITION OF entry FOR VALUES FROM (0) TO (512)',
      'INSERT INTO entry SELECT * FROM saved',
    );
    assert.deepEqual(found(await verify()), ['drop 0-511']);
  });
});
