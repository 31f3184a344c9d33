import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, present, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, type Person, stepped } from '../identity/people.ts';

interface AdminModel {
  readonly id: string;
  readonly state: string;
  readonly in_service: boolean;
  readonly pinned: boolean;
}

describe('load, unload, pin', () => {
  let upstream: FakeUpstream;
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let analyst: Session;
  before(async () => {
    upstream = await startFakeUpstream();
    const models = { far: upstreamEntry(upstream.url), near: upstreamEntry(upstream.url) };
    a = await TestGateway.open({ models, engine: { drainSeconds: 0 } });
    b = await a.replica({ models, engine: { drainSeconds: 0 } });
    admin = await firstAdmin(a);
    analyst = await a.signIn('analyst');
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await upstream.close();
  });
  beforeEach(() => forgetGuesses(a));

  const verb = (name: string, id = 'far') => stepped(a, admin, { method: 'POST', path: `/admin/models/${id}/${name}` });
  const modelOn = async (test: TestGateway, id = 'far') => {
    const answer = await test.client.get('/admin/models', admin.bearer);
    return present(answer.json<{ data: AdminModel[] }>().data.find((model) => model.id === id));
  };
  const ask = (stream = false) => ({
    body: { model: 'far', messages: [{ role: 'user', content: 'hi' }], stream },
    headers: analyst.bearer,
  });
  const chat = (test: TestGateway) => test.client.request('POST', '/v1/chat/completions', ask());
  const numbers = async () => {
    const rows = await a.database.sql<{ model: string; number: string }>('SELECT model, number FROM model_state');
    return new Map(rows.map(({ model, number }) => [model, Number(number)]));
  };

  it('unload answers 202 with the state; both gateways stop, a request says model_not_loaded', async () => {
    assert.equal((await chat(b)).status, 200);
    const answer = await verb('unload');
    assert.equal(answer.status, 202);
    assert.equal(answer.json<AdminModel>().in_service, false);
    const refused = await chat(a);
    assert.deepEqual([refused.status, refused.code], [503, 'model_not_loaded']);
    const other = await eventually(async () => {
      const model = await modelOn(b);
      return model.in_service || model.state !== 'unloaded' ? null : model;
    });
    assert.equal(other.id, 'far');
    assert.equal((await chat(b)).code, 'model_not_loaded');
    assert.equal((await modelOn(b, 'near')).in_service, true, 'the other model is none of it');
  });

  it('load puts it in service on both', async () => {
    const answer = await verb('load');
    assert.equal(answer.status, 202);
    for (const test of [a, b]) {
      await eventually(async () => (await modelOn(test)).state === 'ready');
      assert.equal((await chat(test)).status, 200);
    }
  });

  it('pin and unpin change that alone', async () => {
    assert.equal((await verb('pin')).status, 202);
    const pinned = await eventually(async () => {
      const model = await modelOn(b);
      return model.pinned ? model : null;
    });
    assert.equal(pinned.in_service, true);
    await verb('unload');
    assert.deepEqual([(await modelOn(a)).pinned, (await modelOn(a)).in_service], [true, false]);
    await verb('load');
    assert.equal((await verb('unpin')).json<AdminModel>().pinned, false);
    await eventually(async () => (await modelOn(a)).state === 'ready');
  });

  it('every change has a number that grows, and its admin', async () => {
    const seen: number[] = [];
    for (const [name, id] of [
      ['pin', 'near'],
      ['unpin', 'near'],
      ['load', 'far'],
    ] as const) {
      await verb(name, id);
      seen.push(present((await numbers()).get(id)));
    }
    assert.deepEqual(
      seen,
      seen.toSorted((x, y) => x - y),
    );
    assert.equal(new Set(seen).size, 3);
    const rows = await a.database.sql<{ changed_by: string }>('SELECT DISTINCT changed_by FROM model_state');
    assert.deepEqual(rows, [{ changed_by: admin.subject }]);
  });

  it('running answers end with an error and without [DONE]', async () => {
    upstream.set({ loop: true, pauseMs: 5 });
    const open = await a.client.open('POST', '/v1/chat/completions', ask(true));
    const events: string[] = [];
    let unloading: Promise<unknown> | null = null;
    for await (const event of open.events()) {
      events.push(event);
      if (events.length === 5) unloading = verb('unload');
    }
    await unloading;
    assert.ok(!events.includes('[DONE]'));
    assert.match(String(events.at(-1)), /"error"/);
    upstream.set({});
    await verb('load');
    await eventually(async () => (await modelOn(a)).state === 'ready');
  });

  it('is on the record: the admin’s change, and the gateway’s own doing as system', async () => {
    const rows = await a.database.sql<{ line: string }>(
      `SELECT DISTINCT actor || ' ' || kind || ' ' || action AS line FROM entry WHERE resource = 'model:far' AND kind IN ('change', 'system')`,
    );
    const lines = rows.map(({ line }) => line).toSorted();
    assert.deepEqual(lines, [
      'system system model.loaded',
      'system system model.unloaded',
      ...['load', 'pin', 'unload', 'unpin'].map((name) => `${admin.subject} change model.${name}`),
    ]);
  });

  it('a model that is not in the catalogue is not found, and none is made', async () => {
    assert.equal((await verb('load', 'other')).code, 'model_not_found');
    assert.equal((await numbers()).has('other'), false);
  });

  it('a gateway that starts later begins with what was set', async () => {
    await verb('unload');
    const models = { far: upstreamEntry(upstream.url), near: upstreamEntry(upstream.url) };
    const late = await a.replica({ models });
    try {
      assert.equal((await modelOn(late)).state, 'unloaded');
      assert.equal((await chat(late)).code, 'model_not_loaded');
      assert.equal(
        late.log.some(({ message }) => message === 'a model did not follow what is set'),
        false,
      );
    } finally {
      await late[Symbol.asyncDispose]();
    }
  });
});
