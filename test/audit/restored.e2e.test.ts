import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { openCheckpoint } from '#audit/checkpoint.shared.ts';
import { RootBuilder } from '#audit/merkle.shared.ts';
import { parseVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { findCluster } from '#postgres/embedded-cluster.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, temporaryFolder, upstreamEntry } from '../harness/gateway.ts';
import { GatewayProcess, runStrongroom } from '../harness/gateway-process.ts';

const copy = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to]);

describe('the real process and its log, killed and restored', () => {
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  let dataDir: string;
  let config: object;
  before(async () => {
    upstream = await startFakeUpstream();
    dataDir = await temporaryFolder();
    config = { models: { demo: upstreamEntry(upstream.url) } };
  });
  after(() => upstream.close());

  const environment = () => ({ STRONGROOM_CONFIG: join(dataDir, 'strongroom.yaml'), STRONGROOM_DATA_DIR: dataDir });
  const memory = async (): Promise<{ size: number }> =>
    JSON.parse(await readFile(join(dataDir, 'audit-memory.json'), 'utf8'));

  /** Signs in and asks; the answers are all on record when this resolves. */
  async function use(gateway: GatewayProcess, times: number): Promise<void> {
    const { username, password } = gateway.account('analyst');
    const { token } = (await gateway.client.post('/auth/login', { username, password })).json<{ token: string }>();
    await Promise.all(
      Array.from({ length: times }, async () => {
        const answer = await gateway.client.post(
          '/v1/chat/completions',
          { model: 'demo', messages: [{ role: 'user', content: 'x' }] },
          { authorization: `Bearer ${token}` },
        );
        assert.equal(answer.status, 200, answer.text);
      }),
    );
  }

  /** All records are in the tree, and the latest checkpoint signs exactly the leaves. */
  async function verify({ database }: GatewayProcess): Promise<number> {
    const note = await eventually(async () => {
      const [row] = await database.sql<{ note: string }>(
        'SELECT note FROM checkpoint c JOIN head h ON c.size = h.size',
      );
      return row?.note;
    });
    const [start] = await database.sql<{ record: string }>("SELECT record FROM entry WHERE action = 'gateway.start'");
    const key = await parseVerifierKey(nodeCrypto.sha256, JSON.parse(start?.record ?? '').event.audit_key);
    const { size, root } = await openCheckpoint(nodeCrypto, note, key);
    const builder = new RootBuilder(nodeCrypto.sha256);
    const rows = await database.sql<{ hash: Buffer; leaf: Buffer }>(
      "SELECT hash, sha256('\\x00'::bytea || convert_to(record, 'UTF8')) AS leaf FROM leaf JOIN entry USING (seq) ORDER BY seq",
    );
    for (const { hash, leaf } of rows.slice(0, size)) {
      assert.deepEqual(hash, leaf);
      builder.append(hash);
    }
    assert.deepEqual(Buffer.from(builder.root()), Buffer.from(root));
    return size;
  }

  it('killed -9 with answers that no checkpoint covers yet, it signs them in its next life', async () => {
    let gateway = await GatewayProcess.start(config, dataDir);
    for (let life = 0; life < 3; life++) {
      await use(gateway, 10);
      gateway.kill('SIGKILL');
      await gateway.ended;
      gateway = await GatewayProcess.start(config, dataDir);
      assert.ok((await verify(gateway)) > 20 * (life + 1));
    }
    const verified = await runStrongroom(['audit', 'verify'], environment());
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    gateway.kill('SIGTERM');
    assert.equal(await gateway.ended, 0);
  });

  it('stopped in order it leaves nothing unsigned', async () => {
    const gateway = await GatewayProcess.start(config, dataDir);
    await use(gateway, 5);
    gateway.kill('SIGTERM');
    assert.equal(await gateway.ended, 0);
    const again = await GatewayProcess.start(config, dataDir);
    const [row] = await again.database.sql<{ covered: boolean }>(
      "SELECT EXISTS (SELECT FROM checkpoint WHERE size = (SELECT max(seq) FROM entry WHERE action = 'gateway.start')) AS covered",
    );
    assert.equal(row?.covered, true);
    again.kill('SIGTERM');
    await again.ended;
  });

  it('a restored database stops the start until that is acknowledged, and the record says by whom and why', async () => {
    const { home } = await findCluster(dataDir);
    const nothing = await runStrongroom(['audit', 'acknowledge', '--reason', 'just so'], environment());
    assert.equal(nothing.code, 1);
    assert.match(nothing.stderr, /nothing to acknowledge/);
    await copy(home, `${home}.backup`);
    const gateway = await GatewayProcess.start(config, dataDir);
    await use(gateway, 5);
    await verify(gateway);
    gateway.kill('SIGTERM');
    await gateway.ended;
    const { size } = await memory();

    await rm(home, { recursive: true });
    await copy(`${home}.backup`, home);
    const refused = await runStrongroom(['serve'], environment());
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      new RegExp(`rolled back: this gateway has seen ${size} records.*acknowledge --reason`),
    );
    assert.equal((await runStrongroom(['audit', 'acknowledge'], environment())).code, 1, 'not without a reason');
    assert.equal((await memory()).size, size);

    const reason = 'the disk of db1 broke, restored from the backup of last night';
    const done = await runStrongroom(['audit', 'acknowledge', '--reason', reason, '--json'], environment());
    assert.equal(done.code, 0, done.stderr);
    const { found } = JSON.parse(done.stdout.trim().split('\n').at(-1) ?? '');
    assert.ok(found < size);
    await using again = await GatewayProcess.start(config, dataDir);
    const [row] = await again.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'audit.acknowledge'",
    );
    const { event } = JSON.parse(row?.record ?? '{}');
    assert.deepEqual([event.reason, event.remembered_size, event.found_size], [reason, size, found]);
    assert.ok(event.operating_system_user);
    await use(again, 3);
    await verify(again);
    await rm(`${home}.backup`, { recursive: true });
  });
});
