import assert from 'node:assert/strict';
import { it } from 'node:test';
import { tryMutations } from '../../bench/gguf-mutations.ts';

it('spoilt files are refused or loaded, by the header check and by the real engine behind it', async () => {
  const { broke, killed, stuck, refusedByUs, refusedByEngine, loaded } = await tryMutations(7, 1000, 12);
  assert.deepEqual(broke, []);
  // A file may cost its disposable process, never the gateway; that the check leaves hardly any of those is the point.
  assert.ok(killed.length + stuck.length <= 1, [...killed, ...stuck].join(', '));
  assert.ok(refusedByUs > 300, String(refusedByUs));
  assert.ok(loaded + refusedByEngine > 10, String(loaded));
});
