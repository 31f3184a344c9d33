import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { firstAdmin, type Operation, type Person, proofFor, stepped, withProof } from '../identity/people.ts';

interface Listed {
  readonly data: readonly {
    readonly scope: string;
    readonly kind: string;
    readonly amount: number;
    readonly name: string | null;
  }[];
}
const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }], max_tokens: 8 };

describe('an admin sets quotas with a second factor', () => {
  let test: TestGateway;
  let replica: TestGateway;
  let admin: Person;
  let analyst: Session;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    upstream = await startFakeUpstream();
    const models = { demo: upstreamEntry(upstream.url) };
    test = await TestGateway.open({ models });
    replica = await test.replica({ models });
    admin = await firstAdmin(test);
    analyst = await test.signIn('analyst');
    await test.database.sql("UPDATE account SET department = 'risk' WHERE id = $1", [analyst.subject]);
  });
  after(async () => {
    await replica[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const set = (scope: string, kind: string, body: object): Operation => ({
    method: 'PUT',
    path: `/admin/quotas/${encodeURIComponent(scope)}/${kind}`,
    body,
  });
  const clear = (scope: string, kind: string): Operation => ({
    method: 'DELETE',
    path: `/admin/quotas/${encodeURIComponent(scope)}/${kind}`,
  });
  const ask = (of: TestGateway) => of.client.post('/v1/chat/completions', ASK, analyst.bearer);
  const changeOf = async (requestId: unknown) =>
    (await test.records(String(requestId))).find(({ kind }) => kind === 'change');

  it('holds from the next request on every replica, with the old and the new value on the record', async () => {
    const scope = `user:${analyst.subject}`;
    assert.equal((await ask(replica)).status, 200);
    const answer = await stepped(test, admin, set(scope, 'requests_day', { amount: 1 }));
    assert.equal(answer.status, 200, answer.text);
    const refused = await ask(replica);
    assert.equal(refused.status, 429);
    assert.match(refused.text, /Your quota of 1 requests per day/);
    const record = await changeOf(answer.headers['x-request-id']);
    assert.deepEqual(
      [record?.action, record?.resource, record?.actor, record?.event['old'], record?.event['new']],
      ['quota.set', `quota:${scope}:requests_day`, admin.subject, 'none', '1'],
    );

    const raise = { amount: 50, until: '2199-01-01T00:00:00Z' };
    const raised = await stepped(test, admin, set(scope, 'requests_day', { amount: 1, raise }));
    assert.equal((await ask(replica)).status, 200);
    assert.equal((await changeOf(raised.headers['x-request-id']))?.event['new'], '1, 50 until 2199-01-01T00:00:00Z');

    const cleared = await stepped(test, admin, clear(scope, 'requests_day'));
    assert.equal(cleared.status, 204, cleared.text);
    assert.equal((await ask(replica)).headers['x-ratelimit-limit-requests'], '300', 'what his role gives');
    assert.equal((await changeOf(cleared.headers['x-request-id']))?.event['new'], 'none');
  });

  it('lists every limit, with the name of whom it is for', async () => {
    await stepped(test, admin, set(`user:${analyst.subject}`, 'concurrent', { amount: 9 }));
    const { data } = (await replica.client.get('/admin/quotas', admin.bearer)).json<Listed>();
    const found = data.find(({ kind, scope }) => kind === 'concurrent' && scope.startsWith('user:'));
    assert.deepEqual([found?.amount, found?.name], [9, test.account('analyst').username]);
    assert.equal(data.filter(({ scope }) => scope === 'role:analyst').length, 5);
    await stepped(test, admin, clear(`user:${analyst.subject}`, 'concurrent'));
  });

  it('a scope that is not there is refused, never a limit that holds for nobody', async () => {
    for (const scope of ['user:usr_nobody', 'key:key_none', 'role:analist', 'department:rsik', 'model:dmeo']) {
      const { method, path, body } = set(scope, 'requests_day', { amount: 1 });
      const answer = await test.client.request(method, path, { headers: admin.bearer, body });
      assert.deepEqual([answer.status, answer.code], [404, 'not_found'], scope);
    }
    for (const scope of ['department:risk', 'model:demo', 'role:auditor']) {
      assert.equal((await stepped(test, admin, set(scope, 'tokens_minute', { amount: 7_000_000 }))).status, 200, scope);
      assert.equal((await stepped(test, admin, clear(scope, 'tokens_minute'))).status, 204, scope);
    }
    for (const [scope, kind, body] of [
      ['team:risk', 'requests_day', { amount: 1 }],
      ['role:analyst', 'requests_week', { amount: 1 }],
      ['role:analyst', 'requests_day', { amount: -1 }],
      ['role:analyst', 'requests_day', { amount: 1.5 }],
      ['role:analyst', 'requests_day', { amount: 1, dryrun: true }],
    ] as const) {
      const { method, path } = set(scope, kind, body);
      const answer = await test.client.request(method, path, { headers: admin.bearer, body });
      assert.ok(answer.status === 422 || answer.status === 400, `${scope} ${kind}: ${answer.status}`);
    }
  });

  it('a proof for one amount sets no other, and two admins at once do not overwrite each other unseen', async () => {
    const scope = 'department:risk';
    const proof = await proofFor(test, admin, set(scope, 'requests_day', { amount: 5 }));
    assert.equal((await withProof(test, admin, set(scope, 'requests_day', { amount: 500 }), proof)).status, 401);
    assert.equal((await withProof(test, admin, set(scope, 'requests_day', { amount: 5 }), proof)).status, 200);
    assert.equal((await stepped(test, admin, clear(scope, 'requests_day'))).status, 204);
    assert.equal((await stepped(test, admin, clear(scope, 'requests_day'))).status, 404);
  });

  it('an analyst sets nothing and sees no limit of others', async () => {
    for (const [method, path] of [
      ['GET', '/admin/quotas'],
      ['DELETE', '/admin/quotas/role:analyst/requests_day'],
    ] as const)
      assert.equal((await test.client.request(method, path, { headers: analyst.bearer })).status, 403);
  });
});
