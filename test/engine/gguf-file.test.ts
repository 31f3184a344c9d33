import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { GgufFault } from '#engine/gguf-figures.ts';
import { readHeader } from '#engine/gguf-file.files.ts';
import { gguf, type MetadataValue } from '../../models/demo/gguf-writer.ts';

it('a header of many pieces, as a vocabulary of 32,000 makes it, is read to its end before the file is closed', async () => {
  const value = Array.from({ length: 32_000 }, (_, n) => `token ${n}`);
  const tokens: MetadataValue = { type: 'strings', value };
  const last: MetadataValue = { type: 'string', value: 'Not a name' };
  const metadata = new Map<string, MetadataValue>([
    ['tokenizer.ggml.tokens', tokens],
    ['general.architecture', last],
  ]);
  const values = new Float32Array(32);
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-header-'));
  try {
    const file = join(folder, 'made.gguf');
    await writeFile(file, gguf(metadata, [{ name: 'x', shape: [32], type: 'f32', values }]));
    // What is wrong stands behind the vocabulary.
    await assert.rejects(
      readHeader(file),
      (error) => error instanceof GgufFault && /no architecture/.test(error.message),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
