import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { AdminModel, AdminModelList } from '#models/models.contract.ts';
import { demoEntry, present, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, stepped } from '../identity/people.ts';

it('a model that its configuration pins stays pinned whatever else an admin sets, until he unpins it', async () => {
  const models = { demo: await demoEntry({ pin: true }), other: await demoEntry() };
  await using gateway = await TestGateway.open({ models, engine: { drainSeconds: 0 } });
  const admin = await firstAdmin(gateway);
  const set = async (verb: string) => {
    await forgetGuesses(gateway);
    const answer = await stepped(gateway, admin, { method: 'POST', path: `/admin/models/demo/${verb}` });
    assert.equal(answer.status, 202, answer.text);
    const { in_service, pinned } = answer.json<AdminModel>();
    return [in_service, pinned];
  };
  const seen = async () => {
    const { data } = (await gateway.client.get('/admin/models', admin.bearer)).json<AdminModelList>();
    return Object.fromEntries(data.map(({ id, pinned }) => [id, pinned]));
  };
  assert.deepEqual(await seen(), { demo: true, other: false });
  assert.deepEqual(await set('unload'), [false, true]);
  assert.deepEqual(await set('load'), [true, true]);
  assert.deepEqual(await set('unpin'), [true, false]);
  assert.deepEqual(await seen(), { demo: false, other: false });
  await using replica = await gateway.replica({ models });
  const { data } = (await replica.client.get('/admin/models', admin.bearer)).json<AdminModelList>();
  assert.equal(present(data.find(({ id }) => id === 'demo')).pinned, false, 'what an admin has set counts everywhere');
});
