import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Models, modelNames } from '#config/models.ts';

const SHA = 'a'.repeat(64);
const local = (change: object = {}) => ({ file: 'm.gguf', sha256: SHA, chatTemplateFile: 't.jinja', ...change });
const adapters = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, { file: 'a.gguf', sha256: SHA }]));
const faults = (models: object) => Models.safeParse(models).error?.issues.map(({ message }) => message) ?? [];

it('an adapter makes a name of its own, which no other model has and which is not too long', () => {
  const models = { a: local({ adapters: adapters('x', 'y') }), 'a+z': local() };
  assert.deepEqual(faults(models), []);
  assert.deepEqual(modelNames(Models.parse(models) ?? {}), ['a', 'a+x', 'a+y', 'a+z']);
  assert.deepEqual(faults({ a: local({ adapters: adapters('x') }), 'a+x': local() }), ["'a+x' is a model already"]);
  assert.match(faults({ ['m'.repeat(60)]: local({ adapters: adapters('letters') }) }).join(), /too long/);
  assert.ok(faults({ a: local({ adapters: adapters('x+y') }) }).length > 0);
});

it('the knobs of a batch have their usual defaults', () => {
  const model = Models.parse({ a: local() })?.['a'];
  assert.ok(model !== undefined && !('upstream' in model));
  const { maxBatchSize, maxWaitMs, prefillChunk, maxQueue, maxQueueMs } = model;
  assert.deepEqual([maxBatchSize, maxWaitMs, prefillChunk, maxQueue, maxQueueMs], [32, 50, 128, 64, 30_000]);
});
