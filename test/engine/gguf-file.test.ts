import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { estimateFile, readHeader } from '#engine/gguf-file.files.ts';
import { DEMO_FILE, demoSpec } from './demo.ts';

const MIB = 2 ** 20;

describe('a model file on disk', () => {
  it('is read up to its header, and what it will take is estimated of it', async () => {
    assert.equal((await readHeader(DEMO_FILE)).vocabulary, 1024);
    const { weights, context, compute } = (await estimateFile(await demoSpec())) ?? assert.fail('no estimate');
    assert.ok(weights > MIB / 2 && context > 0 && compute > MIB, `${weights} ${context} ${compute}`);
  });

  it('of a model for vectors it is one sequence, and a batch as long as the longest text', async () => {
    const estimate = async (change: object) => (await estimateFile(await demoSpec(change))) ?? assert.fail();
    const answers = await estimate({ contextSize: 2048, parallel: 4 });
    const vectors = await estimate({ contextSize: 2048, parallel: 4, embedding: true, chatTemplate: null });
    assert.equal(vectors.context * 4, answers.context);
    assert.equal(vectors.compute, answers.compute * 4);
  });

  it('that can not be read has no estimate', async () => {
    assert.equal(await estimateFile(await demoSpec({ file: '/nowhere/model.gguf' })), null);
  });
});
