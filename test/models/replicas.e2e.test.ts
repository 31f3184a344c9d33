import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AdminModelList } from '#models/models.contract.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, present, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { firstAdmin, type Person, stepped } from '../identity/people.ts';

describe('several gateways on one database', () => {
  let upstream: FakeUpstream;
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  const models = () => ({ far: upstreamEntry(upstream.url), near: upstreamEntry(upstream.url) });
  before(async () => {
    upstream = await startFakeUpstream();
    a = await TestGateway.open({ models: models(), engine: { drainSeconds: 0 } });
    // The same models from another server: where a file or a server is does not matter.
    b = await a.replica({ models: models(), engine: { drainSeconds: 0 } });
    admin = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await upstream.close();
  });

  const seenBy = async (test: TestGateway) =>
    (await test.client.get('/admin/models', admin.bearer)).json<AdminModelList>();
  const readiness = async (test: TestGateway) =>
    (await test.client.get('/health/ready')).json<Record<string, string>>();

  it('each shows what the other runs, with its state and its places', async () => {
    for (const [test, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const own = await seenBy(other);
      const [replica, ...more] = await eventually(async () => {
        const { replicas } = await seenBy(test);
        return replicas.some(({ report }) => report?.data.every(({ state }) => state === 'ready')) ? replicas : null;
      });
      assert.deepEqual(more, []);
      assert.deepEqual(
        [replica?.instance, replica?.catalogue, replica?.report?.data.map(({ id, slots }) => [id, slots])],
        [own.instance, 'same', own.data.map(({ id, slots }) => [id, slots])],
      );
      assert.ok(Date.parse(replica?.reported_at ?? '') > 0);
      assert.deepEqual(await readiness(test), { status: 'ready' });
    }
  });

  it('what an admin sets on one is seen to come about on the other', async () => {
    const onOther = async () => (await seenBy(a)).replicas[0]?.report?.data.find(({ id }) => id === 'far');
    for (const [verb, state] of [
      ['unload', 'unloaded'],
      ['load', 'ready'],
    ] as const) {
      assert.equal((await stepped(a, admin, { method: 'POST', path: `/admin/models/far/${verb}` })).status, 202);
      await eventually(async () => {
        const model = await onOther();
        return model?.in_service === (verb === 'load') && model.state === state;
      });
    }
  });

  it('the stream of events tells of the other one too', async () => {
    const stream = await b.client.open('GET', '/admin/models/events', { headers: admin.bearer });
    for await (const event of stream.events()) {
      const { replicas } = JSON.parse(event) as AdminModelList;
      if (replicas.some(({ report }) => report !== null)) break;
    }
  });

  it('one that offers something else makes all say so in readiness, until it is gone', async () => {
    const changes = [
      { far: upstreamEntry(upstream.url) },
      { ...models(), near: upstreamEntry(upstream.url, { classification: 1 }) },
      { ...models(), near: { ...upstreamEntry(upstream.url), contextSize: 999 } },
    ];
    for (const changed of changes) {
      const c = await a.replica({ models: changed });
      try {
        await eventually(async () => (await readiness(a))['catalogue'] === 'differs');
        await eventually(async () => (await readiness(c))['catalogue'] === 'differs');
        const said = (await seenBy(a)).replicas.map(({ catalogue }) => catalogue);
        assert.deepEqual(said, ['same', 'differs']);
        const metrics = await (await fetch(`http://${a.gateway.metricsAddress}/metrics`)).text();
        assert.match(metrics, /^strongroom_replicas\{catalogue="same"\} 1$/m);
        assert.match(metrics, /^strongroom_replicas\{catalogue="differs"\} 1$/m);
      } finally {
        await c[Symbol.asyncDispose]();
      }
      // Its lease would run for ten seconds yet: it took its word back itself.
      await eventually(async () => (await seenBy(a)).replicas.length === 1);
      assert.deepEqual(await eventually(async () => ((await readiness(a))['catalogue'] ? null : readiness(a))), {
        status: 'ready',
      });
    }
  });

  it('who holds no lease is not there, and who is of another release is there without what it says', async () => {
    const [told] = await a.database.sql<{ report: object }>('SELECT report FROM replica_report LIMIT 1');
    const lease = (id: string, until: string) =>
      a.database.sql(
        `INSERT INTO instance (id, started_at, lease_until) VALUES ($1, now(), now() + interval '${until}')`,
        [id],
      );
    const says = (id: string, what: object) =>
      a.database.sql("INSERT INTO replica_report VALUES ($1, 'x', now(), $2)", [id, JSON.stringify(what)]);
    await lease('gw_dead', '-1 s');
    await says('gw_dead', present(told).report);
    await lease('gw_newer', '1 hour');
    await says('gw_newer', { models: 'in another form' });
    const newer = await eventually(async () =>
      (await seenBy(a)).replicas.find(({ instance }) => instance === 'gw_newer'),
    );
    assert.deepEqual([newer.catalogue, newer.report], ['differs', null]);
    assert.equal((await seenBy(a)).replicas.length, 2, 'the other gateway and the newer one');
    await a.database.sql("DELETE FROM instance WHERE id IN ('gw_newer', 'gw_dead')");
    await eventually(async () => (await seenBy(a)).replicas.length === 1);
  });

  it('a Postgres that crashed forgets reports, and is told again', async () => {
    await a.database.kill();
    await a.database.start();
    await eventually(async () => {
      const [told] = await a.database.sql<{ count: string }>('SELECT count(*) FROM replica_report');
      return told?.count === '2';
    });
    await eventually(async () => (await seenBy(a)).replicas.length === 1);
  });
});
