import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileMemory, replaceMemory } from '#audit/memory.files.ts';
import { RootBuilder } from '#audit/merkle.shared.ts';
import { LogFault } from '#audit/tree.ts';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { type Estate, openEstate, until } from '../fakes/ledger-estate.ts';
import { append, appendLeaves, FakeMemory, openTree, sha256, type TestTree, treeOf } from '../fakes/tree-estate.ts';
import { type TestCluster, type TestDatabase, testCluster } from '../harness/postgres.ts';

const ROLLED_BACK = { name: 'LogFault', message: /rolled back.*acknowledge --reason/ };
const REWRITTEN = { name: 'LogFault', message: /rewritten.*acknowledge --reason/ };

describe('a log that goes back, or another way', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  /** As a superuser who knows what he does. */
  const attack = (estate: Estate, sql: string) =>
    estate.dba.query(`SET session_replication_role = replica; ${sql}; RESET session_replication_role`);

  /** A gateway on another database, with this memory. */
  async function onCopy(
    database: TestDatabase,
    memory: FakeMemory,
    work: (tree: TestTree, sql: (text: string) => Promise<unknown>) => Promise<void>,
  ) {
    await using pool = openPool(database.runtimeUrl, { applicationName: 'copy', log: silentLog });
    await using dba = openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog });
    await work(await openTree({ pool, instance: 'copy', database }, memory), (text) => dba.query(text));
  }

  it('a database that was restored from a backup stops the start', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 20);
    await tree.sign();
    const backup = await cluster.copyOf(estate.database);
    await append(estate, 3);
    await until(async () => (await tree.sign()).size === 23);
    assert.equal(tree.memory.head?.size, 23);
    await assert.rejects(
      onCopy(backup, tree.memory.copy(), async () => {}),
      { name: 'LogFault', message: /has seen 23 records in it, and the database has 20/ },
    );
    await assert.rejects(
      onCopy(backup, tree.memory.copy(), async () => {}),
      ROLLED_BACK,
    );
    await backup.drop();
  });

  it('nor does it help to fill the restored one up again', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 20);
    await tree.sign();
    const backup = await cluster.copyOf(estate.database);
    await append(estate, 3);
    await until(async () => (await tree.sign()).size === 23);
    await onCopy(backup, new FakeMemory(), async (other, sql) => {
      await sql(
        "INSERT INTO leaf SELECT n, sha256(convert_to('another ' || n, 'UTF8')) FROM generate_series(20, 30) n; UPDATE head SET size = 31",
      );
      await other.sign();
      assert.equal(other.guard.known.size, 31);
    });
    await assert.rejects(
      onCopy(backup, tree.memory.copy(), async () => {}),
      REWRITTEN,
    );
    await backup.drop();
  });

  it('a gateway that remembers nothing takes what is there, and says so', async () => {
    await using estate = await openEstate(cluster);
    await append(estate, 5);
    const signer = await treeOf(estate, 'a');
    await signer.sign();
    const second = await treeOf(estate, 'b');
    assert.deepEqual([second.guard.firstUse, second.memory.head?.size], [true, 5]);
    assert.equal((await treeOf(estate, 'b', second.memory)).guard.firstUse, false);
  });

  it('every gateway follows what another one signs, and remembers it', async () => {
    await using estate = await openEstate(cluster);
    const [a, b] = [await treeOf(estate, 'a'), await treeOf(estate, 'b')];
    for (const count of [1, 6, 300]) {
      await append(estate, count);
      await a.sign();
      assert.equal(await b.follower.look(), true);
      assert.equal(b.memory.head?.size, a.memory.head?.size);
    }
    assert.equal(b.memory.head?.size, 307);
  });

  it('a log that is cut under a running gateway is noticed by those who lead and those who follow', async () => {
    await using estate = await openEstate(cluster);
    const [a, b] = [await treeOf(estate, 'a'), await treeOf(estate, 'b')];
    await append(estate, 12);
    await a.sign();
    await b.follower.look();
    await attack(
      estate,
      'DELETE FROM checkpoint; DELETE FROM tree_node; DELETE FROM leaf WHERE seq >= 8; DELETE FROM entry WHERE seq >= 8; UPDATE head SET size = 8; UPDATE tree SET size = 0',
    );
    assert.equal(await b.follower.look(), false);
    assert.match(b.guard.fault?.message ?? '', /rolled back/);
    assert.equal(await a.follower.look(), false);
    a.cut();
    await a.signer.turn();
    await a.signer.turn();
    assert.equal(await a.reader.latest(), null, 'nothing is signed any more');
    await assert.rejects(b.guard.advance(b.guard.known), LogFault);
  });

  it('rows and nodes that are rewritten together do not grow out of what was signed', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 12);
    await tree.sign();
    // Everything that the database holds is made to fit the changed leaf.
    await attack(
      estate,
      "UPDATE leaf SET hash = sha256('changed') WHERE seq = 5; DELETE FROM tree_node; UPDATE tree SET size = 0",
    );
    const other = await treeOf(estate, 'other');
    tree.cut();
    await until(async () => (await other.signer.turn()) !== null && other.signer.leads);
    await append(estate, 4);
    await other.signer.turn();
    assert.equal(await tree.follower.look(), false);
    assert.match(tree.guard.fault?.message ?? '', /rewritten/);
    assert.equal(tree.memory.head?.size, 12, 'and it remembers what was there before');
  });

  it('a checkpoint that nobody with the key has signed is none', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await append(estate, 4);
    await tree.sign();
    const real = (await tree.reader.latest())?.note ?? '';
    await estate.dba.query('INSERT INTO checkpoint VALUES (9, $1, $2, 1, now())', [
      Buffer.alloc(32),
      real.replace('\n4\n', '\n9\n'),
    ]);
    assert.equal(await tree.follower.look(), false);
    assert.match(tree.guard.fault?.message ?? '', /not signed by the key/);
  });

  it('a server that dies while the tree is extended leaves it as it was, and it goes on from there', async () => {
    await using estate = await openEstate(cluster);
    const tree = await treeOf(estate, 'gw');
    await appendLeaves(estate, 60_000);
    await tree.signer.turn();
    const turn = tree.signer.turn();
    await new Promise((resolve) => setTimeout(resolve, 8));
    await cluster.killServer();
    await turn;
    await cluster.restartServer();
    const again = await treeOf(estate, 'again', tree.memory.copy());
    await until(async () => (await again.signer.turn()) === 400);
    assert.deepEqual(again.faults, []);
    const builder = new RootBuilder(sha256);
    for (const { hash } of await estate.rows<{ hash: Buffer }>('SELECT hash FROM leaf ORDER BY seq'))
      builder.append(hash);
    assert.equal(again.guard.known.size, 60_000);
    assert.deepEqual(Buffer.from(again.guard.known.root), Buffer.from(builder.root()));
  });

  it('a gateway that dies between its memory and the checkpoint signs the same tree again', async () => {
    await using estate = await openEstate(cluster);
    const dying = await treeOf(estate, 'dying');
    await append(estate, 9);
    // As if killed right there: the memory is on disk, the checkpoint was never sent.
    await estate.dba.query('ALTER TABLE checkpoint ADD CONSTRAINT never CHECK (false) NOT VALID');
    assert.equal(await dying.signer.turn(), 1000);
    assert.deepEqual([dying.memory.head?.size, await dying.reader.latest()], [9, null]);
    await estate.dba.query('ALTER TABLE checkpoint DROP CONSTRAINT never');
    const next = await treeOf(estate, 'next', dying.memory.copy());
    await until(async () => (await next.sign()).size === 9);
    assert.equal((await next.reader.latest())?.size, 9);
  });
});

describe('the memory', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-memory-'));
  });
  after(() => rm(folder, { recursive: true }));

  const head = (size: number, origin = 'o') => ({ origin, size, root: Buffer.alloc(32, size) });

  it('is a file that nobody else may read, replaced whole, and never by a smaller tree', async () => {
    const file = join(folder, 'audit-memory.json');
    const memory = fileMemory(file);
    assert.equal(await memory.load(), null);
    await memory.save(head(7));
    await memory.save(head(5));
    assert.deepEqual(await memory.load(), head(7));
    await Promise.all(Array.from({ length: 20 }, (_, n) => fileMemory(file).save(head(10 + n))));
    assert.deepEqual(await readdir(folder), ['audit-memory.json']);
    await replaceMemory(file, head(3));
    assert.deepEqual(await memory.load(), head(3));
  });

  it('that can not be read is no first use', async () => {
    const file = join(folder, 'broken.json');
    for (const text of ['', '{}', '{"origin":"o","size":-1,"root":""}', 'null']) {
      await writeFile(file, text);
      await assert.rejects(fileMemory(file).load(), /can't be read/, text);
    }
    assert.equal(await readFile(file, 'utf8'), 'null');
  });
});
