import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openCheckpoint } from '#audit/checkpoint.shared.ts';
import {
  consistencyPath,
  inclusionPath,
  leafHash,
  RootBuilder,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '#audit/merkle.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { registeredKeys, registerSigningKey } from '#audit/signing-key.postgres.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { append, appendLeaves, ORIGIN, SIGNER, sha256, type TestTree, treeOf } from '../fakes/tree-estate.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('the stored tree', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  /** The root at every size, from the leaves alone. */
  const rootsOf = async (estate: Estate): Promise<Uint8Array[]> => {
    const leaves = await estate.rows<{ hash: Buffer }>('SELECT hash FROM leaf ORDER BY seq');
    const builder = new RootBuilder(sha256);
    const roots = [builder.root()];
    for (const { hash } of leaves) {
      builder.append(hash);
      roots.push(builder.root());
    }
    return roots;
  };
  const some = (below: number) => Math.floor(Math.random() * below);

  it('covers what was recorded, in steps of any length, with the same root as the leaves alone', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    for (const more of [1, 1, 1, 4, 0, 57, 191, 256, 1]) {
      await append(estate, more);
      const { size, root } = await tree.sign();
      const roots = await rootsOf(estate);
      assert.equal(size, roots.length - 1);
      assert.deepEqual(Buffer.from(root), Buffer.from(roots[size] as Uint8Array), `at ${size}`);
    }
    const [{ record, hash }] = (await estate.rows<{ record: string; hash: Buffer }>(
      'SELECT record, hash FROM entry JOIN leaf USING (seq) WHERE seq = 100',
    )) as [{ record: string; hash: Buffer }];
    assert.deepEqual(Buffer.from(await leafHash(sha256, Buffer.from(record))), hash);
  });

  it('proves inclusion and consistency for any pair of sizes, also ones that were never signed', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await appendLeaves(estate, 3000);
    const { size } = await tree.sign();
    const roots = await rootsOf(estate);
    const { readNode } = tree.reader;
    for (let round = 0; round < 60; round++) {
      const to = round === 0 ? size : 1 + some(size);
      const [index, from] = [some(to), some(to + 1)];
      const root = roots[to] as Uint8Array;
      assert.deepEqual(Buffer.from(await rootOf(sha256, to, readNode)), Buffer.from(root));
      const leaf = await readNode(0, index);
      const path = await inclusionPath(sha256, index, to, readNode);
      assert.ok(await verifyInclusion(sha256, leaf, index, to, path, root), `${index} in ${to}`);
      const proof = await consistencyPath(sha256, from, to, readNode);
      assert.ok(await verifyConsistency(sha256, from, to, roots[from] as Uint8Array, root, proof), `${from} to ${to}`);
    }
  });

  it('reads O(log n) nodes for a root and a proof, in one round trip', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await appendLeaves(estate, 100_001);
    const { size } = await tree.sign();
    const { readNode } = tree.reader;
    const log = Math.ceil(Math.log2(size));
    tree.reads();
    for (const [name, most, read] of [
      ['root', log + 1, () => rootOf(sha256, size, readNode)],
      ['inclusion', 2 * log, () => inclusionPath(sha256, some(size), size, readNode)],
      ['consistency', 2 * log, () => consistencyPath(sha256, 1 + some(size - 1), size, readNode)],
    ] as const) {
      for (let round = 0; round < 10; round++) {
        await read();
        const { nodes, trips } = tree.reads();
        assert.ok(nodes <= most, `${name}: ${nodes} nodes of ${size} leaves`);
        assert.ok(trips <= 1, `${name}: ${trips} round trips`);
      }
    }
  });

  it('names the place where a leaf is missing, and signs nothing', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 10);
    await estate.dba.query(
      'SET session_replication_role = replica; DELETE FROM leaf WHERE seq = 4; RESET session_replication_role',
    );
    assert.equal(await tree.signer.turn(), null, 'it gives up');
    assert.deepEqual(
      tree.faults.map(({ message }) => message),
      ['leaf 4 of the log is gone'],
    );
    assert.equal(await tree.reader.latest(), null);
    assert.equal((await tree.reader.state()).size, 0, 'all of the extension was rolled back');
  });

  it('a checkpoint is a note that the log’s key signed, with the size and root of that moment', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 5);
    await tree.sign();
    await append(estate, 8);
    await tree.sign();
    const roots = await rootsOf(estate);
    for (const size of [5, 13]) {
      const stored = await tree.reader.at(size);
      const { origin, ...head } = await openCheckpoint(nodeCrypto, stored?.note ?? '', SIGNER);
      assert.deepEqual(
        [origin, head.size, Buffer.from(head.root)],
        [ORIGIN, size, Buffer.from(roots[size] as Uint8Array)],
      );
    }
    assert.equal((await tree.reader.latest())?.size, 13);
    assert.equal(await tree.signer.turn(), 400, 'nothing new is nothing to sign');
    assert.equal(await estate.value('SELECT count(*)::int FROM checkpoint'), 2);
  });

  it('keeps the first key that signs, and its origin', async () => {
    await using estate = await openEstate(cluster);
    const { pool } = estate.gateway('gw');
    const other = { origin: 'other', publicKey: new Uint8Array(32) };
    await registerSigningKey(pool, ORIGIN, SIGNER.publicKey);
    const first = await registeredKeys(pool);
    await registerSigningKey(pool, other.origin, other.publicKey);
    assert.deepEqual(await registeredKeys(pool), first);
    assert.deepEqual([first.length, first[0]?.origin], [1, ORIGIN]);
  });

  it('extends by 100,000 leaves within seconds, in transactions of 8,192', async (context) => {
    await using estate = await openEstate(cluster);
    const tree: TestTree = await treeOf(estate, 'gw');
    await appendLeaves(estate, 100_000);
    const started = performance.now();
    let turns = 1;
    while ((await tree.signer.turn()) === 0) turns++;
    const ms = performance.now() - started;
    assert.equal(turns, 13);
    assert.equal(await estate.value('SELECT count(*)::int FROM tree_node'), 99_994);
    context.diagnostic(`${Math.round(100_000 / (ms / 1000))} leaves/s, ${Math.round(ms / turns)} ms a turn`);
  });
});
