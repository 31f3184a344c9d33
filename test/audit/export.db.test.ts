import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exportLog } from '#audit/export.files.ts';
import { openExport } from '#audit/log-source.files.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import type { ExportFormat } from '#audit/manifest.ts';
import type { Signer } from '#audit/note.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { csvCell, tileNumber, tilePath, tileWidth } from '#audit/tiles.ts';
import { type VerifyRange, verifyLog } from '#audit/verify.service.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { note } from '../fakes/ledger-items.ts';
import { answer, newSigner, notes, sign } from '../fakes/signed-log.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

const SIGNED = 700;

describe('an export', () => {
  let cluster: TestCluster;
  let estate: Estate;
  let folder: string;
  const signer: Signer = newSigner();
  const tilesAt = () => join(folder, 'tiles');

  before(async () => {
    cluster = await testCluster();
    estate = await openEstate(cluster);
    folder = await mkdtemp(join(tmpdir(), 'strongroom-export-'));
    const gateway = estate.gateway('gw_1');
    await estate.dba.query('UPDATE tree SET epoch = 1');
    await answer(estate, gateway, 100);
    await sign(estate, signer);
    // Line ends to some readers, and to JSON nothing special: the record holds them as they are.
    await gateway.commit([note('note', { text: 'a\u2028b\u2029c\u0085d' })]);
    await notes(gateway, 250);
    await notes(gateway, 249);
    await sign(estate, signer);
    await notes(gateway, 10);
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await estate[Symbol.asyncDispose]();
    await cluster.stop();
  });

  const write = async (format: ExportFormat, range: VerifyRange = {}, by: Signer | null = signer) => {
    const out = join(folder, format === 'tiles' && range.to === undefined ? 'tiles' : randomUUID());
    await using source = await openPostgresLog(estate.database.migrateUrl);
    const manifest = await exportLog({ source, folder: out, format, origin: signer.name, signer: by, ...range });
    return { out, manifest };
  };
  const verify = async (out: string, key: Signer = signer) => {
    const { source, faults } = await openExport(out);
    assert.ok(source);
    const result = await verifyLog({ source, crypto: nodeCrypto, key });
    return { ...result, files: await faults(key) };
  };
  const changed = async (out: string, path: string, change: (bytes: Buffer) => Buffer) => {
    const copy = join(folder, randomUUID());
    await cp(out, copy, { recursive: true });
    await writeFile(join(copy, path), change(await readFile(join(copy, path))));
    return verify(copy);
  };

  it('as tiles has the layout of C2SP tlog-tiles and is verified without a database', async () => {
    const { out, manifest } = await write('tiles');
    assert.deepEqual([manifest.from, manifest.to, manifest.signed], [0, SIGNED, true]);
    const expected = ['tile/0/000', 'tile/0/001', 'tile/0/002.p/188', 'tile/1/000.p/2', 'checkpoint'];
    for (const path of [...expected, 'tile/entries/001', 'tile/entries/002.p/188', 'manifest.sig']) {
      assert.ok(existsSync(join(out, path)), path);
    }
    assert.equal((await readFile(join(out, 'tile/0/001'))).length, 8192);
    const result = await verify(out);
    assert.deepEqual([result.findings, result.files, result.records, result.checkpoints], [[], [], SIGNED, 1]);
    assert.deepEqual((await verify((await write('tiles', { to: 300 }))?.out)).records, 200);
  });

  it('of tiles shows what was changed in it', async () => {
    const flip = (at: number) => (bytes: Buffer) => Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ 1));
    const tile = await changed(tilesAt(), 'tile/0/001', flip(32 * 5));
    assert.equal(tile.first?.seq, 256 + 5);
    assert.equal(tile.first?.kind, 'leaf');
    assert.equal(tile.files.length, 1);
    assert.equal((await changed(tilesAt(), 'tile/entries/000', flip(100))).first?.seq, 0);
    assert.equal((await changed(tilesAt(), 'tile/entries/001', (b) => b.subarray(0, 300))).first?.seq, 256);
    assert.equal((await changed(tilesAt(), 'tile/1/000.p/2', flip(0))).first?.kind, 'node');
    // A flipped bit leaves another root, or no base64 at all.
    const forged = await changed(tilesAt(), 'checkpoint', flip(40)).catch((fault: Error) => ({
      ok: fault.name !== 'NoteFault',
    }));
    assert.equal(forged.ok, false);
    const manifest = await changed(tilesAt(), 'manifest.json', (b) =>
      Buffer.from(b.toString().replace(/("records":\s*)\d+/, '$1699')),
    );
    assert.match(manifest.files[0] ?? '', /signature of manifest/);
    assert.equal((await verify(tilesAt(), newSigner(signer.name))).ok, false);
  });

  it('as JSON Lines of any range is tied to the checkpoint that covers it', async () => {
    for (const [from, to] of [
      [0, 710],
      [0, 1],
      [13, 200],
      [150, 333],
      [256, 512],
      [699, 700],
      [300, 705],
    ] as const) {
      const { out, manifest } = await write('jsonl', { from, to });
      assert.equal(manifest.records, to - from);
      const result = await verify(out);
      assert.deepEqual([result.findings, result.files, result.records], [[], [], to - from], `${from}-${to}`);
      assert.equal(result.unsigned, Math.max(0, to - SIGNED));
    }
  });

  it('as JSON Lines shows a changed, a missing and an added line', async () => {
    const { out } = await write('jsonl', { from: 250, to: 400 });
    const text = await readFile(join(out, 'records.jsonl'), 'utf8');
    const lines = text.trimEnd().split('\n');
    const put = (all: string[]) => changed(out, 'records.jsonl', () => Buffer.from(`${all.join('\n')}\n`));
    const edited = await put(lines.with(7, (lines[7] ?? '').replace('"action":"note"', '"action":"nope"')));
    assert.deepEqual([edited.first?.kind, edited.first?.seq, edited.files.length], ['leaf', 257, 1]);
    assert.deepEqual((await put(lines.toSpliced(7, 1))).first, {
      kind: 'missing',
      seq: 257,
      to: 257,
      detail: 'there is no such record',
    });
    assert.equal((await put(lines.toSpliced(7, 0, lines[8] ?? ''))).ok, false);
    // With its own leaf hash: only the signed root is left to tell.
    await appendFile(join(out, 'records.jsonl'), '');
    const manifest = await changed(out, 'manifest.json', (b) =>
      Buffer.from(b.toString().replace(/"hash": "(.)/, '"hash": "!')),
    );
    assert.equal(manifest.ok, false);
  });

  it('without the key is not signed, and says so; as CSV holds no formula', async () => {
    const { out, manifest } = await write('csv', { to: 20 }, null);
    assert.deepEqual([manifest.signed, existsSync(join(out, 'manifest.sig'))], [false, false]);
    const lines = (await readFile(join(out, 'records.csv'), 'utf8')).trimEnd().split('\r\n');
    assert.equal(lines.length, 21);
    assert.match(
      lines[1] ?? '',
      /^0,"2[^"]+Z","intent","usr_0","infer","model:demo","admitted","req_[^"]+","[0-9a-f-]{36}","[0-9a-f]{64}","\{""at""/,
    );
    assert.equal((await openExport(out)).source, null);
    assert.deepEqual(await (await openExport(out)).faults(signer), []);
    for (const cell of ['=1+1', '+1', '-1', '@x', '\t=1', '\r=1', '＝1']) assert.equal(csvCell(cell), `"'${cell}"`);
    assert.equal(csvCell('a "b", c'), '"a ""b"", c"');
  });

  it('is written into a new folder only', async () => {
    await assert.rejects(write('tiles'), /is not empty/);
  });

  it('names tiles as the specification does', () => {
    assert.equal(tileNumber(1_234_067), 'x001/x234/067');
    assert.equal(tileNumber(0), '000');
    assert.equal(tilePath('entries', 273, 112), 'tile/entries/273.p/112');
    // The example of a tree of 70,000.
    assert.deepEqual([tileWidth(0, 273, 70_000), tileWidth(1, 1, 70_000), tileWidth(2, 0, 70_000)], [112, 17, 1]);
  });
});
