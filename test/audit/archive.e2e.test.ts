import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, present, type Session, TestGateway, temporaryFolder, upstreamEntry } from '../harness/gateway.ts';
import { runStrongroom } from '../harness/gateway-process.ts';

const OTHER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

describe('GET /audit/export', () => {
  let test: TestGateway;
  let analyst: Session;
  let auditor: Session;
  let folder: string;
  let key: string;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    folder = await temporaryFolder();
    upstream = await startFakeUpstream();
    test = await TestGateway.open({ models: { demo: upstreamEntry(upstream.url) } });
    [analyst, auditor] = [await test.signIn('analyst'), await test.signIn('auditor')];
    const [start] = await test.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'gateway.start'",
    );
    key = JSON.parse(present(start).record).event.audit_key;
    for (let n = 0; n < 20; n++) {
      const body = { model: 'demo', messages: [{ role: 'user', content: `question ${n}` }] };
      assert.equal((await test.client.post('/v1/chat/completions', body, analyst.bearer)).status, 200);
    }
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Takes an export away and unpacks it with the system's own tar. */
  async function take(query: string) {
    const answer = await test.client.open('GET', `/audit/export?${query}`, { headers: auditor.bearer });
    const parts: Buffer[] = [];
    for await (const part of answer.message) parts.push(part as Buffer);
    const bytes = Buffer.concat(parts);
    assert.equal(answer.status, 200, bytes.toString('latin1').slice(0, 500));
    const request = String(answer.headers['x-request-id']);
    const out = join(folder, request);
    await mkdir(out);
    await writeFile(`${out}.tar`, bytes);
    execFileSync('tar', ['xf', `${out}.tar`, '-C', out]);
    const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'));
    return { answer, bytes, request, out, manifest };
  }
  /** With the key alone, in a process of its own without settings. */
  const verify = (out: string, by = key) =>
    runStrongroom(
      ['audit', 'verify', '--export', out, '--key', by],
      { STRONGROOM_DATA_DIR: join(folder, 'nothing') },
      folder,
    );

  it('is a tar that a stranger verifies with the key alone, and its outcome holds its SHA-256', async () => {
    const { bytes, request, out, manifest, answer } = await take('format=jsonl');
    assert.match(String(answer.headers['content-disposition']), /^attachment; filename="[\w-]+\.tar"$/);
    assert.deepEqual((await readdir(out)).sort(), [
      'checkpoint',
      'files.sha256',
      'manifest.json',
      'manifest.sig',
      'records-000000.jsonl',
    ]);
    assert.ok(manifest.records > 40 && manifest.from === 0 && manifest.to === manifest.records);
    const verified = await verify(out);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.match(verified.stdout, /Nothing is wrong/);
    assert.equal((await verify(out, OTHER)).code, 1);

    const [intent, outcome] = await test.records(request);
    assert.deepEqual([intent?.kind, intent?.action, intent?.resource], ['intent', 'audit.export', 'audit:export']);
    const { from_seq, to_seq, records, archive_sha256, format, filters } = present(outcome).event;
    assert.deepEqual([from_seq, to_seq, records, format, filters], [0, manifest.to, manifest.records, 'jsonl', '{}']);
    assert.equal(archive_sha256, createHash('sha256').update(bytes).digest('hex'));
  });

  it('by filter holds each record with its own proof', async () => {
    const { out, manifest } = await take('action=infer&outcome=completed');
    assert.deepEqual([manifest.records, manifest.filter], [20, { action: 'infer', outcome: 'completed' }]);
    const verified = await verify(out);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.match(verified.stdout, /Verified 20 records .* selected by action=infer outcome=completed/);

    const path = join(out, 'records-000000.jsonl');
    const whole = await readFile(path, 'utf8');
    const lines = whole.trimEnd().split('\n');
    const forged = [
      lines.with(3, present(lines[3]).replace('"outcome":"completed"', '"outcome":"failed"')),
      lines.with(3, present(lines[4])),
      lines.toSpliced(3, 1),
    ];
    for (const change of forged) {
      await writeFile(path, `${change.join('\n')}\n`);
      assert.equal((await verify(out)).code, 1);
    }
    await writeFile(path, whole);
    assert.equal((await verify(out)).code, 0);
    assert.equal((await verify(out, OTHER)).code, 1);
  });

  it('as CSV runs nothing in a spreadsheet, and is checked by its files', async () => {
    const { out, manifest } = await take(`format=csv&actor=${test.account('analyst').username}`);
    const lines = (await readFile(join(out, 'records-000000.csv'), 'utf8')).trimEnd().split('\r\n');
    assert.equal(lines.length, manifest.records + 1);
    assert.match(lines[0] ?? '', /^seq,at,kind,actor,/);
    for (const line of lines.slice(1)) assert.doesNotMatch(line, /(^|,)"?[=+@\t-]/);
    assert.equal((await verify(out)).code, 0);
    await writeFile(join(out, 'records-000000.csv'), lines.slice(1).join('\r\n'));
    assert.equal((await verify(out)).code, 1);
  });

  it('with nothing in it is an export, too', async () => {
    const { manifest, out } = await take('action=no.such');
    assert.equal(manifest.records, 0);
    assert.equal((await verify(out)).code, 0);
  });

  it('reaches seven days back, whatever is asked, and is still tied to the log before', async () => {
    const as = 'SET session_replication_role = replica;';
    await test.database.sql(`${as} UPDATE entry SET at = at - interval '8 days' WHERE seq < 5`);
    const { manifest, out } = await take('from=2000-01-01T00:00:00Z');
    assert.equal(manifest.from, 5);
    const verified = await verify(out);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.equal((await take('actor=system&from=2000-01-01T00:00:00Z')).manifest.from, 5);
    await test.database.sql(`${as} UPDATE entry SET at = at + interval '8 days' WHERE seq < 5`);
  });

  it('breaks off without its end where the log can not be read on, and the record says so', async () => {
    const as = 'SET session_replication_role = replica;';
    const [row] = await test.database.sql<{ n: string }>('SELECT max(seq) / 2 AS n FROM entry');
    await test.database.sql(`${as} UPDATE entry SET at = at - interval '8 days' WHERE seq = ${present(row).n}`);
    const answer = await test.client.get('/audit/export', auditor.bearer);
    assert.equal(answer.status, 409);
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    assert.deepEqual([outcome.outcome, outcome.event['archive_sha256']], ['failed', null]);
    await test.database.sql(`${as} UPDATE entry SET at = at + interval '8 days' WHERE seq = ${present(row).n}`);
  });

  it('takes filters and formats that it knows', async () => {
    for (const query of ['format=xml', 'from=yesterday', 'limit=3', 'action=']) {
      const answer = await test.client.get(`/audit/export?${query}`, auditor.bearer);
      assert.ok(query === 'limit=3' || query === 'action=' ? answer.status === 200 : answer.status >= 400, query);
    }
    await eventually(async () => (await test.database.sql('SELECT FROM open_intent')).length === 0);
  });
});
