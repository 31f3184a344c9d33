import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeCheckpointKey, readCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { recordText } from '#audit/event.ts';
import { exportLog } from '#audit/export.files.ts';
import { openExport } from '#audit/log-source.files.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import type { Signer } from '#audit/note.shared.ts';
import { nodeCrypto, nodeSigner } from '#audit/note-crypto.node.ts';
import { registerSigningKey } from '#audit/signing-key.postgres.ts';
import { type VerifyResult, verifyLog } from '#audit/verify.service.ts';
import { newEventId } from '#kernel/id.ts';
import { silentLog } from '#kernel/log.ts';
import { runRetention } from '../../src/gateway-retention.ts';
import { type Estate, openEstate, type TestGateway } from '../fakes/ledger-estate.ts';
import { admit } from '../fakes/ledger-items.ts';
import { openTestKeeper, pastRecords, type TestKeeper } from '../fakes/past-log.ts';
import { newSigner, notes, sign, verifyEstate } from '../fakes/signed-log.ts';
import { testConfig } from '../harness/gateway.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const found = ({ findings }: VerifyResult) => findings.map(({ kind, seq, to }) => `${kind} ${seq}-${to}`);

describe('retention', () => {
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
  const bodies = () => estate.rows<{ n: number }>('SELECT seq::int AS n FROM entry ORDER BY seq');
  const attack = (...statements: string[]) =>
    estate.dba.lend(async (client) => {
      await client.query('BEGIN; SET LOCAL session_replication_role = replica');
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
    });
  const verdicts = async (days = 400) =>
    (await keeper.pool.query('SELECT verdict FROM retention_state($1)', [days])).rows.map((row) => row['verdict']);

  retention('a partition that is a month old ends at the next multiple of 256, and the log goes on', async () => {
    const bounds = () => estate.rows('SELECT from_seq::int AS f, to_seq::int AS t FROM log_partitions()');
    assert.deepEqual((await bounds()).slice(0, 3), [
      { f: 0, t: 512 },
      { f: 512, t: 768 },
      { f: 768, t: 1_048_576 },
    ]);
    assert.equal(await cut(), 1280, 'by number, not by time, up to 256 more');
    assert.equal(await cut(), 0, 'a young one stays');
    for (let n = 0; n < 3; n++) await notes(gateway, 200);
    await sign(estate, signer);
    assert.deepEqual((await verify()).findings, []);
    assert.equal(await estate.value('SELECT count(*)::int FROM entry WHERE seq >= 1280'), 1668 - 1280);
    await assert.rejects(estate.dba.query('TRUNCATE entry_000000_1280'), /append-only/);
  });

  retention('drops whole partitions that are old enough, on record, and every proof stays', async () => {
    const leaves = await estate.value<number>('SELECT count(*)::int FROM leaf');
    assert.deepEqual(await keeper.retain().then(({ dropped }) => dropped.map(({ from, to }) => [from, to])), [
      [0, 512],
      [512, 768],
    ]);
    assert.equal((await bodies())[0]?.n, 768);
    assert.equal(await estate.value('SELECT count(*)::int FROM leaf'), leaves + 2);
    assert.equal(await estate.value('SELECT min(seq)::int FROM opening'), 768, 'keys of commitments go with them');
    await sign(estate, signer);
    const result = await verify();
    assert.deepEqual(result.findings, []);
    assert.deepEqual(
      result.dropped.map(({ from, to, by }) => [from, to, by]),
      [[0, 768, 1069]],
    );
    assert.deepEqual((await verifyEstate(estate, signer, { from: 100, to: 900 })).findings, []);
    const record = JSON.parse(await estate.value<string>('SELECT record FROM entry WHERE seq = 1068')).event;
    assert.deepEqual([record.from, record.to, record.count, record.retention_days], [0, 512, 512, 400]);
    assert.deepEqual((await keeper.retain()).dropped, [], 'and once is enough');
  });

  retention(
    'nothing goes that is young, held, open, unsigned or incomplete; and the first reason is told',
    async () => {
      assert.deepEqual((await verdicts()).slice(0, 4), ['due', 'due', 'open', 'open']);
      assert.deepEqual((await verdicts(550)).slice(0, 2), ['young', 'young']);
      await attack(
        `INSERT INTO legal_hold (id, actor, reason, placed_by, placed_at) VALUES ('h', 'usr_0', 'r', 'a', now())`,
      );
      const { dropped, kept } = await keeper.retain();
      assert.deepEqual([dropped, kept.map(({ verdict, hold }) => `${verdict} ${hold}`)], [[], ['held h', 'held h']]);
      for (const [columns, values, one] of [
        ['action, actor', "'note', 'usr_0'", 'held'],
        ['action, actor', "'note', 'usr_9'", 'due'],
        ['resource', "'x:1'", 'held'],
        ['resource', "'x:2'", 'due'],
        ['request_id', "'req_1'", 'due'],
        ['since', "now() - interval '490 days'", 'due'],
        ['until', "now() - interval '550 days'", 'held'],
        ['since, until', "now() - interval '650 days', now() - interval '590 days'", 'held'],
      ]) {
        await attack(
          'DELETE FROM legal_hold',
          `INSERT INTO legal_hold (id, reason, placed_by, placed_at, ${columns}) VALUES ('h', 'r', 'a', now(), ${values})`,
        );
        assert.equal((await verdicts())[0], one, `${columns} ${values}`);
      }
      await attack('UPDATE legal_hold SET released_at = now()');
      const intent = admit(estate.who);
      await gateway.commit([intent]);
      await attack('UPDATE open_intent SET seq = 3');
      assert.equal((await verdicts())[0], 'intents');
      await attack('DELETE FROM open_intent', 'DELETE FROM checkpoint');
      assert.deepEqual((await verdicts()).slice(0, 2), ['unsigned', 'unsigned']);
      assert.deepEqual((await keeper.retain()).dropped, []);
      await sign(estate, signer).catch(() => undefined);
      await attack('DELETE FROM entry WHERE seq = 5');
      assert.equal((await verdicts())[0], 'incomplete');
      assert.equal((await bodies()).length, 1068);
    },
  );

  retention(
    'the database refuses under 184 days, a login that is no keeper, and a record that claims otherwise',
    async () => {
      await assert.rejects(keeper.pool.query('SELECT * FROM retention_state(183)'), /184 days at least/);
      await assert.rejects(keeper.pool.query('SELECT * FROM retention_state(NULL)'), /184 days at least/);
      const event = (facts: object) => ({
        kind: 'system' as const,
        actor: 'system',
        action: 'audit.drop',
        resource: 'log:x',
        outcome: 'completed',
        request: null,
        facts: facts as never,
      });
      const [first] = await estate.rows<{ newest: string }>('SELECT newest FROM retention_state(400)');
      const good = { from: 0, to: 512, newest: first?.newest, days: 400, dropped: '0-512' };
      for (const [wrong, code] of [
        [{ to: 256 }, 'no_partition'],
        [{ newest: '2020-01-01T00:00:00.000000Z' }, 'changed'],
        [{ dropped: '0-768' }, 'changed'],
        [{ days: 5000 }, 'young'],
      ] as const) {
        const verdict = await keeper.recorder.change('audit.drop', { ...good, ...wrong }, event({}));
        assert.deepEqual([verdict.verdict, verdict.code], ['refused', code], JSON.stringify(wrong));
      }
      const { ledger } = gateway;
      await assert.rejects(
        ledger.submit({
          op: 'change',
          id: newEventId(),
          name: 'audit.drop',
          change: good,
          record: recordText(event({})),
          refusal: null,
        }),
        (error: Error) => /keeper/.test(String((error.cause as Error | undefined)?.cause ?? error)),
      );
      assert.equal((await bodies()).length, 1072);
      for (const call of ['cut_log()', 'retention_state(400)', 'forget_openings(1)']) {
        await assert.rejects(gateway.pool.query(`SELECT * FROM strongroom.${call}`), { code: '42501' }, call);
      }
    },
  );

  retention('a body that is not what the tree says is evidence and stays', async () => {
    await attack("UPDATE entry SET actor = 'usr_9' WHERE seq = 17");
    await assert.rejects(keeper.retain(), { name: 'DropRefused', message: /0 to 511 are kept: column 17/ });
    assert.equal((await bodies()).length, 1068);
  });

  retention('killed between the drop and what follows it, the next run goes on', async () => {
    const killed = keeper.retain({
      store: {
        state: async (days) =>
          (await keeper.pool.query('SELECT * FROM retention_state($1)', [days])).rows.map((row) => ({
            ...(row as never as { verdict: 'due'; newest: string; hold: null; dropped: string }),
            from: Number(row['from_seq']),
            to: Number(row['to_seq']),
          })),
        cut: async () => null,
        forgetOpenings: () => Promise.reject(new Error('killed')),
      },
    });
    await assert.rejects(killed, /killed/);
    assert.deepEqual((await verify()).findings, []);
    assert.equal(await estate.value('SELECT min(seq)::int FROM opening'), 0);
    assert.equal((await keeper.retain()).openings, 768);
  });

  retention('a reader in the way is waited for, not for long', async () => {
    const reader = await estate.dba.connect();
    await reader.query('BEGIN; SELECT count(*) FROM entry');
    let pauses = 0;
    const run = keeper.retain({
      pause: async () => {
        if (++pauses === 1) await reader.query('COMMIT');
      },
    });
    const report = await run.finally(() => reader.release());
    assert.equal(report.dropped.length, 2);
    assert.ok(pauses >= 1);
  });

  retention('the command does all of it with the logins and the key that are configured', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'strongroom-retain-'));
    const { database } = estate;
    const config = testConfig(dataDir, { audit: { origin: signer.name } });
    await makeCheckpointKey(join(dataDir, 'keys', 'checkpoint.key'));
    const urls = {
      runtime: database.runtimeUrl,
      auditor: database.auditorUrl,
      signer: database.signerUrl,
      migrate: database.migrateUrl,
      verifier: database.migrateUrl,
      caFile: undefined,
    };
    const deps = { config, base: dataDir, database: { urls, embedded: false }, log: silentLog };
    const key = nodeSigner(signer.name, await readCheckpointKey(join(dataDir, 'keys', 'checkpoint.key')));
    await registerSigningKey(gateway.pool, signer.name, signer.publicKey);
    await assert.rejects(runRetention(deps, {}), /not the key that signs the log/);
    await attack(
      'DELETE FROM signing_key',
      'DELETE FROM checkpoint',
      'UPDATE tree SET size = 0',
      'DELETE FROM tree_node',
    );
    await registerSigningKey(gateway.pool, signer.name, key.publicKey);
    await sign(estate, key);
    assert.equal((await runRetention(deps, { operating_system_user: 'eve' })).dropped.length, 2);
    await sign(estate, key);
    assert.deepEqual((await verifyEstate(estate, key)).findings, []);
    await assert.rejects(
      runRetention({ ...deps, database: { embedded: false, urls: { ...urls, migrate: database.runtimeUrl } } }, {}),
      /strongroom_keeper/,
    );
    await rm(dataDir, { recursive: true });
  });

  retention('an export says what was dropped, and is verified without a database', async () => {
    await keeper.retain();
    await notes(gateway, 30);
    await sign(estate, signer);
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-dropped-'));
    for (const format of ['jsonl', 'tiles', 'csv'] as const) {
      const out = join(folder, format);
      await using log = await openPostgresLog(estate.database.migrateUrl);
      const manifest = await exportLog({ source: log, folder: out, format, origin: signer.name, signer });
      assert.equal(manifest.dropped?.ranges, '0-768');
      assert.equal(manifest.records, 1100 - 768, format);
      const { source, faults } = await openExport(out);
      assert.deepEqual(await faults(signer), []);
      if (source === null) continue;
      const result = await verifyLog({ source, crypto: nodeCrypto, key: signer });
      assert.deepEqual(result.findings, [], format);
      assert.deepEqual([result.records, result.dropped[0]?.to], [1100, 768]);
      // Without the record the same folder is one whose bodies were taken.
      const file = join(out, 'manifest.json');
      const text = await readFile(file, 'utf8');
      await writeFile(file, JSON.stringify({ ...JSON.parse(text), dropped: null }));
      const bare = (await openExport(out)).source;
      assert.ok(bare);
      assert.ok(found(await verifyLog({ source: bare, crypto: nodeCrypto, key: signer })).includes('missing 0-767'));
    }
    assert.equal(existsSync(join(folder, 'tiles/tile/entries/002')), false);
    assert.equal(existsSync(join(folder, 'tiles/tile/entries/003')), true);
    await rm(folder, { recursive: true });
  });
});
