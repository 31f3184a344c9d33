import assert from 'node:assert/strict';
import { it } from 'node:test';
import { memoryOf } from '#engine/llama/process-tree.system.ts';
import { demoSpec, openLlama } from './demo.ts';

it('whoever closes an engine that is closing waits until its child is gone, with its memory', async () => {
  const engine = openLlama(await demoSpec());
  await engine.load();
  const { pid } = engine.status();
  assert.ok(pid !== null && memoryOf(pid) !== null);
  let isGone = false;
  const first = engine.close().then(() => {
    isGone = true;
  });
  await engine.close();
  assert.equal(isGone, true);
  await first;
  assert.equal(memoryOf(pid) ?? 0, 0);
});
