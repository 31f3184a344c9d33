import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openCheckpoint } from '#audit/checkpoint.shared.ts';
import { makeCheckpointKey } from '#audit/checkpoint-key.files.ts';
import { consistencyPath, verifyConsistency } from '#audit/merkle.shared.ts';
import { parseVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, present, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const { sha256 } = nodeCrypto;

describe('two gateways on one database', () => {
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  let one: TestGateway;
  let two: TestGateway;
  let analyst: Session;
  let verifierKey: string;
  before(async () => {
    upstream = await startFakeUpstream();
    const models = { demo: upstreamEntry(upstream.url) };
    one = await TestGateway.open({ models });
    two = await one.replica({ models });
    analyst = await one.signIn('analyst');
    const [start] = await one.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'gateway.start'",
    );
    verifierKey = JSON.parse(present(start).record).event.audit_key;
  });
  after(async () => {
    await two[Symbol.asyncDispose]();
    await one[Symbol.asyncDispose]();
    await upstream.close();
  });

  const ask = ({ client }: TestGateway) =>
    client.post('/v1/chat/completions', { model: 'demo', messages: [{ role: 'user', content: 'x' }] }, analyst.bearer);
  const leader = async () => (await one.database.sql<{ leader: string }>('SELECT leader FROM tree'))[0]?.leader;

  it('sign one log, whoever is asked and whoever leads, and each gives the receipts of the other’s answers', async () => {
    const first = await leader();
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all([one, two, one, two].map(ask));
      for (const [at, answer] of answers.entries()) {
        const other = at % 2 === 0 ? two : one;
        const receipt = await other.client.get(String(answer.headers['x-audit-receipt']), analyst.bearer);
        assert.equal(receipt.status, 200, receipt.text);
        const checks = await verifyReceipt(nodeCrypto, receipt.json(), verifierKey);
        assert.deepEqual(
          checks.filter(({ ok }) => !ok),
          [],
        );
      }
      // The leader's session is cut; one of the two takes over.
      await one.database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND application_name = 'strongroom-signer'",
      );
    }
    assert.ok(first);
    const [tree] = await one.database.sql<{ epoch: string }>('SELECT epoch FROM tree');
    assert.ok(Number(tree?.epoch) >= 3);
    const signed = await one.database.sql<{ note: string }>('SELECT note FROM checkpoint ORDER BY size');
    const nodes = new Map<string, Buffer>();
    for (const { level, index, hash } of await one.database.sql<{ level: number; index: string; hash: Buffer }>(
      'SELECT level, index, hash FROM tree_node UNION ALL SELECT 0, seq, hash FROM leaf',
    ))
      nodes.set(`${level}/${index}`, hash);
    const readNode = (level: number, index: number) => present(nodes.get(`${level}/${index}`));
    const key = await parseVerifierKey(sha256, verifierKey);
    const heads = await Promise.all(signed.map(({ note }) => openCheckpoint(nodeCrypto, note, key)));
    assert.ok(heads.length > 1);
    for (const [at, head] of heads.entries()) {
      const next = heads[at + 1] ?? head;
      const proof = await consistencyPath(sha256, head.size, next.size, readNode);
      assert.ok(await verifyConsistency(sha256, head.size, next.size, head.root, next.root, proof));
    }
  });

  it('a gateway with another key or another origin does not start: it would fork the log', async () => {
    const checkpointFile = join(one.dataDir, 'other.key');
    await makeCheckpointKey(checkpointFile);
    await assert.rejects(one.replica({ keys: { checkpointFile } }), /not the key that signs the log in the database/);
    await assert.rejects(
      one.replica({ audit: { origin: 'other.example/log' } }),
      /audit\.origin is other\.example\/log, and the log in the database is named localhost\/strongroom/,
    );
  });

  it('a log that somebody rewrites under them is answered by nobody any more', async () => {
    await one.database.sql(
      'INSERT INTO checkpoint SELECT size + 100000, root, replace(note, size::text, (size + 100000)::text), epoch, now() FROM latest_checkpoint()',
    );
    for (const gateway of [one, two]) {
      await eventually(async () => (await gateway.client.get('/health/ready')).status === 503);
      const answer = await ask(gateway);
      assert.deepEqual([answer.status, answer.code], [503, 'audit_unavailable']);
      assert.ok(
        gateway.log.some(({ level, message }) => level === 'error' && /not the one that was seen/.test(message)),
      );
    }
  });
});
