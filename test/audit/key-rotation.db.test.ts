import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openCheckpoint, signCheckpoint } from '#audit/checkpoint.shared.ts';
import { installNextKey, makeCheckpointKey, prepareNextKey, readCheckpointKeys } from '#audit/checkpoint-key.files.ts';
import { exportLog } from '#audit/export.files.ts';
import { KeyRing, signRotation } from '#audit/key-ring.shared.ts';
import { openExport } from '#audit/log-source.files.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { parseNote, type Signer } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { registeredKeys, registerSigningKey } from '#audit/signing-key.postgres.ts';
import { SigningKeys } from '#audit/signing-keys.service.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { toHex } from '#kernel/bytes.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { openTestKeeper, type TestKeeper } from '../fakes/past-log.ts';
import { newSigner, notes, verifyEstate } from '../fakes/signed-log.ts';
import { openTree, type TestTree } from '../fakes/tree-estate.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const NAME = 'test.example/log';

describe('another key for the log', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let keeper: TestKeeper;
  let keys: [Signer, Signer, Signer];
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const rotation = (name: string, work: () => Promise<void>) =>
    it(name, async () => {
      keys = [newSigner(NAME), newSigner(NAME), newSigner(NAME)];
      await using opened = await openEstate(cluster);
      estate = opened;
      await using kept = openTestKeeper(estate, keys[0]);
      keeper = kept;
      await registerSigningKey(estate.gateway('first').pool, NAME, keys[0].publicKey);
      await work();
    });

  /** A gateway that holds these keys on its disk. */
  async function gatewayWith(instance: string, local: Signer[]): Promise<TestTree & { readonly keys: SigningKeys }> {
    const gateway = estate.gateway(instance);
    const held = await SigningKeys.open({
      afterTurn: queueMicrotask,
      crypto: nodeCrypto,
      origin: NAME,
      registered: () => registeredKeys(gateway.pool),
      local: async () => local,
      lastSigned: async () => Number(await estate.value('SELECT coalesce(max(size), 0) FROM checkpoint')),
    });
    return { ...(await openTree({ ...gateway, database: estate.database }, undefined, undefined, held)), keys: held };
  }
  const more = async (count = 3) => notes(estate.gateway(`writer_${Math.random()}`), count);
  const signed = async (tree: TestTree, count = 3) => {
    await more(count);
    const size = Number(await estate.value('SELECT size FROM head'));
    // A turn that finds itself fenced off resigns; the next one leads again.
    for (let turn = 0; turn < 50 && tree.guard.known.size < size; turn++) await tree.signer.turn();
    assert.equal(tree.guard.known.size, size);
    return (await tree.reader.latest())?.note ?? '';
  };
  const rotate = async (from: Signer, to: Signer, change: object = {}) => {
    const size = Number(await estate.value('SELECT coalesce(max(size), 0) FROM checkpoint'));
    const note = await signRotation(nodeCrypto, from, to, size);
    const event = {
      kind: 'change' as const,
      actor: 'system',
      action: 'keys.rotate',
      resource: 'keys:checkpoint',
      outcome: 'completed',
      request: null,
    };
    return keeper.recorder.change('signing_key.rotate', { key: toHex(to.publicKey), size, note, ...change }, event);
  };

  rotation('signs the first checkpoint with both keys, and everybody who knows one can follow', async () => {
    const tree = await gatewayWith('a', keys);
    const follower = await gatewayWith('b', keys);
    await signed(tree);
    assert.equal((await rotate(keys[0], keys[1])).verdict, 'changed');
    const both = await signed(tree);
    assert.equal(parseNote(both).signatures.length, 2);
    for (const key of keys.slice(0, 2)) assert.equal((await openCheckpoint(nodeCrypto, both, key)).origin, NAME);
    assert.equal(await follower.follower.look(), true);
    assert.deepEqual(follower.keys.signer.publicKey, keys[1].publicKey, 'a running replica takes it up by itself');
    const alone = await signed(tree);
    assert.equal(parseNote(alone).signatures.length, 1);
    await assert.rejects(openCheckpoint(nodeCrypto, alone, keys[0]));
    assert.equal(await follower.follower.look(), true);
    assert.equal((await rotate(keys[1], keys[2])).verdict, 'changed');
    await signed(tree);
    await signed(tree);
    for (const key of keys) assert.deepEqual((await verifyEstate(estate, key)).findings, []);
    assert.equal((await verifyEstate(estate, newSigner(NAME))).ok, false);
    assert.deepEqual([tree.faults, follower.faults], [[], []]);

    const out = join(await mkdtemp(join(tmpdir(), 'strongroom-rotated-')), 'log');
    await using source = await openPostgresLog(estate.database.migrateUrl);
    await exportLog({ source, folder: out, format: 'tiles', origin: NAME, signer: keys[2] });
    const exported = await openExport(out);
    for (const key of keys) {
      assert.deepEqual(await exported.faults(key), []);
      assert.ok(exported.source);
      assert.deepEqual((await verifyLog({ source: exported.source, crypto: nodeCrypto, key })).findings, []);
    }
    assert.match((await exported.faults(newSigner(NAME))).join(), /signature of manifest/);
    await rm(out, { recursive: true });
  });

  rotation('the old key signs nothing any more, wherever it is used', async () => {
    const tree = await gatewayWith('a', [keys[0]]);
    await signed(tree);
    await rotate(keys[0], keys[1]);
    await more();
    for (let turn = 0; turn < 3; turn++) assert.equal(await tree.signer.turn(), 1000);
    assert.equal(await estate.value('SELECT count(*)::int FROM checkpoint'), 1);
    await assert.rejects(gatewayWith('c', [keys[0]]), /not the key that signs the log/);
    // Someone who stole it and can write to the database:
    await signed(await gatewayWith('b', keys));
    const thief = await gatewayWith('d', keys);
    const ring = await KeyRing.open(nodeCrypto, keys[1], await thief.keys.rotations());
    const { size, root } = thief.guard.known;
    const forged = await signCheckpoint(nodeCrypto, { origin: NAME, size: size + 1, root }, keys[0]);
    await assert.rejects(ring.openCheckpoint(forged), /not signed by this key/);
  });
  rotation('a rotation that the old key did not sign is none: not for verifiers, not for gateways', async () => {
    const tree = await gatewayWith('a', keys);
    await signed(tree);
    const thief = newSigner(NAME);
    // By the database alone, with his own key twice and with a forged line of the old one.
    const note = await signRotation(nodeCrypto, { ...thief, publicKey: keys[0].publicKey }, thief, 3);
    assert.equal((await rotate(keys[0], thief, { note })).verdict, 'changed');
    const ring = await KeyRing.open(nodeCrypto, keys[0], [note]);
    assert.equal(ring.periods.length, 1);
    await tree.keys.refresh();
    assert.deepEqual(tree.keys.signer.publicKey, keys[0].publicKey);
    await assert.rejects(gatewayWith('b', keys), /not the key that signs the log/);
  });

  rotation('is refused between checkpoints, twice without one, and to the login that serves requests', async () => {
    assert.equal((await rotate(keys[0], keys[1])).code, 'unfinished', 'nothing was signed yet');
    const tree = await gatewayWith('a', keys);
    await signed(tree);
    assert.equal((await rotate(keys[0], keys[1], { size: 2 })).code, 'moved');
    assert.equal((await rotate(keys[0], keys[1])).verdict, 'changed');
    assert.equal((await rotate(keys[1], keys[2])).code, 'unfinished');
    const { pool } = estate.gateway('plain');
    await assert.rejects(
      pool.query(
        `SELECT strongroom.commit_batch('x', 'UTC', '{}', '{}', '{}', '{}', '{}', '{}', ARRAY[json_populate_record(NULL::strongroom.batch_item, $1)])`,
        [JSON.stringify({ op: 'signing_key.rotate', id: crypto.randomUUID(), change: {} })],
      ),
      { code: '42501', message: /strongroom_keeper/ },
    );
  });

  rotation('killed after the record and before the files, the keys are found where they lie', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-rotation-'));
    const file = join(folder, 'checkpoint.key');
    await makeCheckpointKey(file);
    const first = await readFile(file, 'utf8');
    const next = (await prepareNextKey(file)).export({ type: 'pkcs8', format: 'pem' });
    assert.deepEqual(
      (await prepareNextKey(file)).export({ type: 'pkcs8', format: 'pem' }),
      next,
      'run again: the same',
    );
    assert.equal((await readCheckpointKeys(file)).length, 2);
    const previous = await installNextKey(file);
    assert.deepEqual([await readFile(file, 'utf8'), await readFile(previous, 'utf8')], [next, first]);
    assert.equal(existsSync(`${file}.next`), false);
    // Killed between the link and the rename of the next one: both are there, and it can be done again.
    await prepareNextKey(file);
    await rm(previous);
    await installNextKey(file);
    assert.equal(await readFile(previous, 'utf8'), next);
    await rm(folder, { recursive: true });
  });
});
