import assert from 'node:assert/strict';
import { it } from 'node:test';
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

it('leaves a core to the gateway where there is one to leave', () => {
  assert.deepEqual([1, 2, 8].map(defaultThreads), [1, 1, 7]);
});
