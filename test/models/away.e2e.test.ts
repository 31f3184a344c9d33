import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { AdminModel, AdminModelList } from '#models/models.contract.ts';
import { demoEntry, eventually, madeEntry, present, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, type Person, stepped } from '../identity/people.ts';

const modelOn = async (test: TestGateway, admin: Person, id: string): Promise<AdminModel> => {
  const { data } = (await test.client.get('/admin/models', admin.bearer)).json<AdminModelList>();
  return present(data.find((one) => one.id === id));
};

describe('models and those who are away meanwhile', () => {
  it('a child that dies while Postgres is away is on the record afterwards, with the time of its death', async () => {
    await using gateway = await TestGateway.open({ models: { demo: await demoEntry() } });
    const admin = await firstAdmin(gateway);
    const { pid } = await modelOn(gateway, admin, 'demo');
    await gateway.database.kill();
    const before = Date.now();
    process.kill(present(pid), 'SIGKILL');
    await eventually(() => gateway.log.some(({ message }) => message === 'not recorded yet'));
    const after = Date.now();
    await gateway.database.start();
    const [row] = await eventually(async () => {
      const rows = await gateway.database.sql<{ record: string }>(
        "SELECT record FROM entry WHERE action = 'model.crashed'",
      );
      return rows.length > 0 && rows;
    });
    const { event } = JSON.parse(present(row).record);
    const at = Date.parse(event.happened_at);
    assert.ok(before <= at && at <= after, event.happened_at);
    assert.deepEqual([event.actor, event.resource, event.deaths], ['system', 'model:demo', 1]);
  });

  it('a load is followed where the model had failed, though it was in service all along', async () => {
    const config: { models: { made: { file: string } } }[] = [];
    await using a = await TestGateway.open(async (folder) => {
      config.push({ models: { made: await madeEntry(folder, 'made', { say: ['Here.'] }) } });
      return present(config[0]);
    });
    const admin = await firstAdmin(a);
    const { file } = present(config[0]).models.made;
    const hidden = join(a.dataDir, 'hidden.gguf');
    await rename(file, hidden);
    await using b = await a.replica(present(config[0]));
    await eventually(async () => (await modelOn(b, admin, 'made')).state === 'failed');
    await rename(hidden, file);
    assert.equal((await modelOn(a, admin, 'made')).state, 'ready');
    await forgetGuesses(a);
    const answer = await stepped(a, admin, { method: 'POST', path: '/admin/models/made/load' });
    assert.equal(answer.status, 202, answer.text);
    await eventually(async () => (await modelOn(b, admin, 'made')).state === 'ready');
  });
});
