import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { estimateFile, readHeader } from '#engine/gguf-file.files.ts';
import { gguf, type MetadataValue } from '../../models/demo/gguf-writer.ts';
import { recurrentModel } from '../fakes/state-models.ts';
import { DEMO_FILE, demoSpec, writeModel } from './demo.ts';

const MIB = 2 ** 20;

describe('a model file on disk', () => {
  it('is read up to its header, and what it will take is estimated of it', async () => {
    assert.equal((await readHeader(DEMO_FILE)).vocabulary, 1024);
    const { weights, context, compute } = (await estimateFile(await demoSpec())) ?? assert.fail('no estimate');
    assert.ok(weights > MIB / 2 && context > 0 && compute > MIB, `${weights} ${context} ${compute}`);
  });

  it('is read to its end where that is longer than one reading', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-header-'));
    const file = join(folder, 'long.gguf');
    const u32 = (value: number) => ({ type: 'u32', value }) as const;
    const about = new Map<string, MetadataValue>([
      ['general.architecture', { type: 'string', value: 'llama' }],
      ['general.description', { type: 'string', value: 'x'.repeat(2 * MIB) }],
      ['llama.block_count', u32(1)],
      ['llama.embedding_length', u32(32)],
      ['llama.context_length', u32(64)],
    ]);
    await writeFile(
      file,
      gguf(about, [{ name: 'blk.0.weight', shape: [32, 32], type: 'f32', values: new Float32Array(1024) }]),
    );
    try {
      assert.equal((await readHeader(file)).tensorBytes, 4096);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('of a model for vectors it is one sequence, and a batch as long as the longest text', async () => {
    const estimate = async (change: object) => (await estimateFile(await demoSpec(change))) ?? assert.fail();
    const answers = await estimate({ contextSize: 2048, parallel: 4 });
    const vectors = await estimate({ contextSize: 2048, parallel: 4, embedding: true, chatTemplate: null });
    assert.equal(vectors.context * 4, answers.context);
    assert.equal(vectors.compute, answers.compute * 4);
  });

  it('of a model without attention it is a running state for each conversation, however long', async () => {
    const { spec, remove } = await writeModel(recurrentModel(), { contextSize: 2048, parallel: 4 });
    try {
      const { context, layers } = (await estimateFile(spec)) ?? assert.fail('no estimate');
      // Two layers of 128 wide: 16 numbers of state and 4 of the last tokens each, in 4 bytes.
      assert.equal(context, 4 * 2 * 128 * (16 + 4) * 4);
      assert.equal(layers[0]?.context, context / 2);
      assert.equal((await estimateFile({ ...spec, contextSize: 4096 }))?.context, context);
    } finally {
      await remove();
    }
  });

  it('that can not be read has no estimate', async () => {
    assert.equal(await estimateFile(await demoSpec({ file: '/nowhere/model.gguf' })), null);
  });
});
