import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Models } from '#config/models.ts';
import { EngineRegistry } from '#engine/catalogue.ts';
import { defaultThreads, specFaults } from '#engine/model-spec.ts';
import { demoSpec, openLlama } from './demo.ts';

it('finds engines by name only, lists them in order and closes them all', async () => {
  const engines = await Promise.all(['b', 'a'].map(async (id) => [id, openLlama(await demoSpec({ id }))] as const));
  const registry = new EngineRegistry(engines);
  assert.deepEqual(registry.ids, ['b', 'a']);
  assert.deepEqual(
    registry.list().map(({ id, state }) => [id, state]),
    [
      ['b', 'unloaded'],
      ['a', 'unloaded'],
    ],
  );
  assert.equal(registry.get('a'), engines[1]?.[1]);
  assert.equal(registry.get('constructor'), undefined);
  await registry.close();
});

it('names every figure that the engine could not survive', async () => {
  assert.deepEqual(specFaults(await demoSpec()), []);
  const bad = await demoSpec({ contextSize: 1e9, parallel: 8, threads: 0, sha256: 'x', file: 'relative.gguf' });
  assert.equal(specFaults(bad).length, 5);
  assert.throws(() => openLlama(bad), /contextSize.*threads.*sha256.*absolute/);
});

it('takes as many conversations at once as a GPU is worth, and no more', async () => {
  for (const [parallel, fits] of [
    [128, true],
    [129, false],
  ] as const) {
    const local = { file: 'a.gguf', sha256: 'a'.repeat(64), parallel, maxBatchSize: parallel };
    assert.equal(Models.safeParse({ one: local }).success, fits);
    assert.equal(specFaults(await demoSpec({ parallel })).length === 0, fits);
  }
});

it('a name of GPUs that a model’s way to them does not look at is a fault', () => {
  const entry = (change: object) =>
    Models.safeParse({ one: { file: 'a.gguf', sha256: 'a'.repeat(64), ...change } }).success;
  assert.ok(entry({ gpu: 'cuda', cudaDevices: 'MIG-41b4aef1-8b4d-5c8e-9d0f-3f7b1e3c2a10' }));
  assert.ok(entry({ gpu: 'vulkan', vulkanDevices: '0,2' }));
  assert.ok(entry({ cudaDevices: '0', vulkanDevices: '1' }));
  assert.ok(!entry({ gpu: 'vulkan', cudaDevices: '0' }));
  assert.ok(!entry({ gpu: 'cuda', vulkanDevices: '0' }));
  assert.ok(!entry({ gpu: 'vulkan', vulkanDevices: 'all' }));
});

it('leaves a core to the gateway where there is one to leave', () => {
  assert.deepEqual([1, 2, 8].map(defaultThreads), [1, 1, 7]);
});
