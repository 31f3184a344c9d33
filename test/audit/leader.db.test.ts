import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { consistencyPath, verifyConsistency } from '#audit/merkle.shared.ts';
import { postgresLeadership } from '#audit/tree.postgres.ts';
import { type Estate, openEstate, until } from '../fakes/ledger-estate.ts';
import { append, appendLeaves, FakeMemory, sha256, type TestTree, treeOf } from '../fakes/tree-estate.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('who signs', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const epoch = (estate: Estate) => estate.value<number>('SELECT epoch::int FROM tree');
  const dropSigner = (estate: Estate, { signer }: TestTree) =>
    until(async () => {
      await estate.dba.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%-signer' AND datname = current_database()",
      );
      return !signer.leads || (await signer.turn()) === 1000;
    });

  it('one gateway at a time; the next one as soon as its connection is gone', async () => {
    await using estate = await openEstate(cluster);
    const [a, b] = [await treeOf(estate, 'a'), await treeOf(estate, 'b')];
    await append(estate, 3);
    await a.sign();
    await b.sign();
    assert.deepEqual([a.signer.leads, b.signer.leads], [true, false]);
    assert.equal(await epoch(estate), 1);
    a.cut();
    await append(estate, 4);
    await until(async () => (await b.signer.turn()) !== null && b.signer.leads);
    assert.equal((await b.reader.latest())?.size, 7);
    assert.equal(await epoch(estate), 2);
    assert.equal(await a.signer.turn(), 1000, 'the first one notices that it has lost its session');
    await a.sign();
    assert.deepEqual([a.signer.leads, b.signer.leads], [false, true]);
  });

  it('fails over when the server ends the session, and the trees are one log', async () => {
    await using estate = await openEstate(cluster);
    const [a, b] = [await treeOf(estate, 'a'), await treeOf(estate, 'b')];
    await append(estate, 5);
    await a.sign();
    await dropSigner(estate, a);
    await append(estate, 6);
    await until(async () => (await b.signer.turn()) !== null && b.signer.leads);
    assert.equal(b.guard.known.size, 11);
    await a.follower.look();
    assert.deepEqual(Buffer.from(a.guard.known.root), Buffer.from(b.guard.known.root));
    assert.deepEqual([a.faults, b.faults], [[], []]);
  });

  it('a leader that was overtaken can neither extend nor publish, however its statement was delayed', async () => {
    await using estate = await openEstate(cluster);
    const leader = postgresLeadership(estate.database.signerUrl, { applicationName: 'old-signer' }, 'old');
    const old = await leader.lead();
    assert.ok(old);
    await appendLeaves(estate, 8);
    assert.deepEqual(await old.extend(4), { size: 4, log: 8 });
    // Another session takes the lock as if the old one had lost it without knowing.
    await estate.dba.query('UPDATE tree SET epoch = epoch + 1');
    const overtaken = { code: '55000', message: 'another gateway signs now' };
    await assert.rejects(old.extend(4), overtaken);
    await assert.rejects(old.publish({ size: 4, root: new Uint8Array(32), note: 'x' }), overtaken);
    assert.equal(await estate.value('SELECT count(*)::int FROM checkpoint'), 0);
    leader.resign();
  });

  it('publishes no checkpoint that is smaller, the same, or ahead of the tree', async () => {
    await using estate = await openEstate(cluster);
    const leader = postgresLeadership(estate.database.signerUrl, { applicationName: 'signer' }, 'one');
    const leads = await leader.lead();
    assert.ok(leads);
    await appendLeaves(estate, 8);
    await leads.extend(6);
    const head = (size: number) => ({ size, root: new Uint8Array(32), note: `note ${size}` });
    await leads.publish(head(5));
    for (const size of [5, 4, 1, 7]) await assert.rejects(leads.publish(head(size)), { code: '55000' }, String(size));
    await leads.publish(head(6));
    leader.resign();
  });

  it('many gateways that all want to lead, with sessions that are cut all the time, never fork the log', async () => {
    await using estate = await openEstate(cluster);
    const trees = await Promise.all(['a', 'b', 'c'].map((name) => treeOf(estate, name)));
    let done = false;
    const turns = trees.map(async (tree, at) => {
      while (!done) {
        await tree.signer.turn();
        await tree.follower.look();
        await new Promise((resolve) => setTimeout(resolve, 3 * at));
      }
    });
    const writes = (async () => {
      for (let round = 0; round < 40; round++) {
        await append(estate, 1 + (round % 7));
        if (round % 4 === 0) for (const tree of trees) if (tree.signer.leads) tree.cut();
      }
      done = true;
    })();
    await Promise.all([writes, ...turns]);
    assert.deepEqual(
      trees.flatMap(({ faults }) => faults),
      [],
    );
    assert.ok((await epoch(estate)) > 3, 'the lead changed hands');
    await until(async () => {
      for (const tree of trees) await tree.signer.turn();
      return (await trees[0]?.reader.latest())?.size === (await estate.value('SELECT size::int FROM head'));
    });
    const signed = await estate.rows<{ size: string; root: Buffer; epoch: string }>(
      'SELECT * FROM checkpoint ORDER BY size',
    );
    const [{ reader }] = trees as [TestTree, ...TestTree[]];
    for (const [at, { size, root }] of signed.entries()) {
      const next = signed[at + 1];
      if (next === undefined) continue;
      const proof = await consistencyPath(sha256, Number(size), Number(next.size), reader.readNode);
      assert.ok(await verifyConsistency(sha256, Number(size), Number(next.size), root, next.root, proof), size);
    }
    assert.ok(new Set(signed.map((one) => one.epoch)).size > 2, 'several of them have signed');
  });

  it('signs nothing that it could not remember first', async () => {
    await using estate = await openEstate(cluster);
    const memory = new FakeMemory();
    const tree = await treeOf(estate, 'gw', memory);
    await append(estate, 3);
    memory.broken = true;
    assert.equal(await tree.signer.turn(), 1000);
    assert.equal(await tree.reader.latest(), null);
    memory.broken = false;
    assert.equal((await tree.sign()).size, 3);
    assert.equal(memory.head?.size, 3);
  });

  it('a leader that is frozen loses its session after five seconds of silence', async () => {
    await using estate = await openEstate(cluster);
    const frozen = await treeOf(estate, 'frozen');
    await append(estate, 1);
    await frozen.sign();
    const idle = await estate.value<string>(
      "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    assert.equal(idle, '1');
    const other = await treeOf(estate, 'other');
    const started = performance.now();
    await until(async () => {
      await other.signer.turn();
      return other.signer.leads;
    });
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds > 3 && seconds < 8, `${seconds}`);
  });
});
