import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RestartPolicy } from '#engine/llama/restart-policy.ts';

it('starts again at once, then later, then not at all', () => {
  const policy = new RestartPolicy();
  assert.deepEqual([policy.died(10), policy.died(null), policy.died(59_999)], [0, 500, null]);
  assert.equal(policy.deaths, 3);
});

it('a sound life in between begins the count anew', () => {
  const policy = new RestartPolicy();
  assert.deepEqual([policy.died(10), policy.died(10), policy.died(60_000), policy.died(10)], [0, 500, 0, 500]);
});

it('forgives when somebody loads the model again', () => {
  const policy = new RestartPolicy();
  for (let i = 0; i < 3; i++) policy.died(null);
  policy.forgive();
  assert.equal(policy.died(null), 0);
});
