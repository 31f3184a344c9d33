import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually, TestGateway } from '../harness/gateway.ts';

it('an idle gateway over a Postgres that is gone says so, and says it is back', async () => {
  await using test = await TestGateway.open({ models: {} });
  const says = (value: 0 | 1) =>
    eventually(async () => {
      const text = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
      return new RegExp(`^strongroom_audit_available ${value}$`, 'm').test(text);
    });
  await says(1);
  // Nobody asks anything of it from here on.
  await test.database.stop();
  await says(0);
  await test.database.start();
  await says(1);
  assert.equal((await test.client.get('/health/ready')).status, 200);
});
