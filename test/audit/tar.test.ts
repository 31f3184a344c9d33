import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TarFault, unpackTar } from '#audit/tar.files.ts';
import { TAR_END, tarEntry } from '#audit/tar.ts';

describe('an archive that is unpacked', () => {
  let folder: string;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-tar-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function* inPieces(bytes: Buffer, size: number) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const unpack = async (bytes: Buffer, size = bytes.length) => {
    const out = join(folder, String(count++));
    return { out, bytes: await unpackTar(inPieces(bytes, size), out) };
  };
  const files: [string, Buffer][] = [
    ['records-000000.jsonl', Buffer.alloc(3000, 'r')],
    ['empty', Buffer.alloc(0)],
    ['manifest.json', Buffer.alloc(1024, 'm')],
  ];
  const whole = Buffer.concat([...files.map(([name, bytes]) => tarEntry(name, bytes, 1)), TAR_END]);
  /** A header with another field, and its sum made right again. */
  const forged = (at: number, text: string) => {
    const bytes = Buffer.from(whole);
    bytes.write(text, at, 'latin1');
    bytes.fill(' ', 148, 156);
    bytes.write(
      `${bytes
        .subarray(0, 512)
        .reduce((a, b) => a + b, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    return bytes;
  };

  it('gives back what was packed, whatever pieces it comes in', async () => {
    for (const size of [1, 7, 511, 512, 513, 4096, whole.length]) {
      const { out, bytes } = await unpack(whole, size);
      assert.equal(bytes, whole.length);
      assert.deepEqual((await readdir(out)).sort(), files.map(([name]) => name).sort());
      for (const [name, content] of files)
        assert.deepEqual(await readFile(join(out, name)), content, `${name} by ${size}`);
    }
  });

  it('is refused where it was cut off, anywhere', async () => {
    for (const length of [0, 1, 511, 512, 2000, whole.length - 1024, whole.length - 512, whole.length - 1])
      await assert.rejects(unpack(whole.subarray(0, length)), TarFault, String(length));
  });

  it('writes nothing outside of its folder, no link, no file twice', async () => {
    const outside = join(folder, 'outside');
    for (const bytes of [
      forged(0, '../outside\0'),
      forged(0, `${outside}\0`),
      forged(0, 'sub/file\0'),
      forged(0, '..\0'),
      forged(0, '.hidden\0'),
      forged(156, '2'),
      forged(156, '5'),
      forged(157, 'target\0'),
      forged(345, '..\0'),
      forged(257, 'other'),
      forged(124, '77777777777\0').fill('x', 148, 150),
      forged(124, '-0000000010\0'),
    ]) {
      await assert.rejects(unpack(bytes), TarFault);
    }
    assert.ok(!existsSync(outside));
    const twice = Buffer.concat([tarEntry('a', Buffer.alloc(1), 1), tarEntry('a', Buffer.alloc(2), 1), TAR_END]);
    await assert.rejects(unpack(twice), { code: 'EEXIST' });
  });

  it('needs an empty folder, and leaves what is in another', async () => {
    const out = join(folder, 'full');
    await unpackTar(inPieces(whole, 512), out);
    await writeFile(join(out, 'empty'), 'mine');
    await assert.rejects(unpackTar(inPieces(whole, 512), out), /is not empty/);
    assert.equal(await readFile(join(out, 'empty'), 'utf8'), 'mine');
  });
});
