import assert from 'node:assert/strict';
import { it } from 'node:test';
import { healthRoutes, type Remarks } from '#health/health.routes.ts';

async function asked(isReady: boolean, remarks: Remarks) {
  const route = healthRoutes(
    async () => isReady,
    () => remarks,
  ).find(({ id }) => id === 'health.ready');
  return route?.handle({} as never);
}

it('who is ready says what should be seen to all the same, a word each', async () => {
  assert.deepEqual(await asked(true, {}), { kind: 'json', body: { status: 'ready' } });
  assert.deepEqual(await asked(true, { db_separation: 'reduced', catalogue: 'differs' }), {
    kind: 'json',
    body: { status: 'ready', db_separation: 'reduced', catalogue: 'differs' },
  });
});

it('who is not says only that', async () => {
  assert.deepEqual(await asked(false, { catalogue: 'differs' }), {
    kind: 'json',
    status: 503,
    body: { status: 'not_ready' },
    headers: { 'retry-after': '1' },
  });
});
