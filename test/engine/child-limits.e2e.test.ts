import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { LlamaModelSpec } from '#engine/model-spec.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, DEMO_FILE, DEMO_TEXT, demoSpec, openLlama, sha256 } from './demo.ts';

const MEMORY = 1_500_000_000;

describe('the process of a model', () => {
  it('goes first when the machine runs out of memory, has a bound of its own, and sees the GPUs it may', async () => {
    const engine = openLlama(await demoSpec({ memoryLimit: MEMORY, devices: '1,2', parallel: 3 }));
    try {
      await engine.load();
      const { pid, backend, layers, restarts } = engine.status();
      const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8');
      assert.equal((await read('oom_score_adj')).trim(), '1000');
      const limits = await read('limits');
      assert.match(limits, new RegExp(`^Max data size +${Math.ceil(MEMORY / 1024) * 1024} `, 'm'));
      assert.match(limits, /^Max core file size +0 /m);
      const environment = (await read('environ')).split('\0');
      const memory = ['MALLOC_ARENA_MAX=1', 'MALLOC_MMAP_THRESHOLD_=131072'];
      for (const line of [...memory, 'UV_THREADPOOL_SIZE=7', 'CUDA_VISIBLE_DEVICES=1,2'])
        assert.ok(environment.includes(line), line);
      // Without it nothing that answers leave behind is collected for thousands of them (`spent-memory.ts`).
      assert.ok((await read('cmdline')).split('\0').includes('--expose-gc'));
      assert.ok(environment.includes('CUDA_DEVICE_ORDER=PCI_BUS_ID'));
      assert.deepEqual([backend, layers?.onGpu, restarts], ['cpu', 0, 0]);
      assert.ok((layers?.of ?? 0) > 1);
      assert.equal((await answer(engine)).text, DEMO_TEXT);
    } finally {
      await engine.close();
    }
  });

  it('an absurd context is an error that says so, not the end of a process', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-absurd-'));
    const file = join(folder, 'long.gguf');
    const bytes = await readFile(DEMO_FILE);
    const key = Buffer.from('llama.context_length');
    bytes.writeUInt32LE(1 << 20, bytes.indexOf(key) + key.length + 4);
    await writeFile(file, bytes);
    // Some 25 GB of keys and values.
    const absurd: Partial<LlamaModelSpec> = { contextSize: 1 << 20, parallel: 16, memoryLimit: MEMORY };
    const engine = openLlama(await demoSpec({ file, sha256: sha256(bytes), ...absurd }));
    try {
      await assert.rejects(engine.load(), (error) => {
        assert.ok(error instanceof Problem);
        assert.match(error.message, /do not fit into the memory that it may take/);
        return true;
      });
      const { state, restarts, quarantine, pid } = engine.status();
      assert.deepEqual([state, restarts, quarantine, pid], ['failed', 0, null, null]);
    } finally {
      await engine.close();
      await rm(folder, { recursive: true });
    }
  });
});
