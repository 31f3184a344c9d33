import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, newPerson, PASSWORD, type Person, stepped } from './people.ts';

interface Made {
  readonly id: string;
  readonly key: string;
}

describe('API keys', () => {
  let upstream: FakeUpstream;
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let analyst: Person;
  before(async () => {
    upstream = await startFakeUpstream();
    const models = {
      open: upstreamEntry(upstream.url),
      other: upstreamEntry(upstream.url),
      secret: upstreamEntry(upstream.url, { classification: 3 }),
    };
    a = await TestGateway.open({ models });
    b = await a.replica({ models });
    admin = await firstAdmin(a);
    analyst = await newPerson(a, admin, { username: 'ann', roles: ['analyst'], clearance: 2 });
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await upstream.close();
  });
  beforeEach(() => forgetGuesses(a));

  const create = (body: object, who = analyst) =>
    a.client.post('/auth/keys', { name: 'k', password: PASSWORD, ...body }, who.bearer);
  const make = async (body: object = {}, who = analyst) => {
    const answer = await create(body, who);
    assert.equal(answer.status, 201, answer.text);
    return answer.json<Made & Record<string, unknown>>();
  };
  const bearer = ({ key }: Made) => ({ authorization: `Bearer ${key}` });
  const models = async (key: Made) =>
    (await b.client.get('/v1/models', bearer(key))).json<{ data: { id: string }[] }>().data.map(({ id }) => id);
  const ask = (key: Made, model: string) =>
    b.client.post('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hi' }] }, bearer(key));

  it('is shown once and stored as a hash alone', async () => {
    const made = await make({ name: 'batch' });
    assert.match(made.key, /^srk_[A-Za-z0-9_-]{43}$/);
    const listed = await a.client.get('/auth/keys', analyst.bearer);
    assert.ok(listed.text.includes(made.id));
    assert.ok(!listed.text.includes(made.key.slice(4)));
    for (const table of ['api_key', 'entry', 'dedupe', 'open_intent'])
      assert.deepEqual(
        await a.database.sql(`SELECT 1 FROM ${table} t WHERE t::text LIKE '%' || $1 || '%'`, [made.key.slice(4)]),
        [],
      );
    const [row] = await a.database.sql(
      `SELECT secret_hash = encode(sha256(convert_to($1, 'UTF8')), 'hex') AS hashed FROM api_key WHERE id = $2`,
      [made.key, made.id],
    );
    assert.deepEqual(row, { hashed: true });
  });

  it('needs the password again, and whoever signs in with a factor a step-up', async () => {
    assert.equal((await create({ password: undefined })).code, 'schema_invalid');
    assert.equal((await create({ password: 'wrong' })).code, 'invalid_credentials');
  });

  it('does what its owner may, and makes no key, session, password or factor', async () => {
    const made = await make();
    assert.deepEqual(await models(made), ['open', 'other']);
    assert.equal((await ask(made, 'open')).status, 200);
    for (const [method, path, body] of [
      ['POST', '/auth/keys', { name: 'x', password: PASSWORD }],
      ['GET', '/auth/keys', undefined],
      ['DELETE', `/auth/keys/${made.id}`, undefined],
      ['GET', '/auth/sessions', undefined],
      ['POST', '/auth/logout', undefined],
      ['POST', '/auth/password', { current_password: PASSWORD, new_password: `${PASSWORD}!` }],
      ['POST', '/auth/totp/enrol', { password: PASSWORD }],
      ['POST', '/auth/totp/activate', { code: '123456' }],
    ] as const) {
      const options = { headers: bearer(made), ...(body === undefined ? {} : { body }) };
      assert.equal((await b.client.request(method, path, options)).code, 'session_required', path);
    }
  });

  it('is narrowed to models', async () => {
    const made = await make({ models: ['other'] });
    assert.deepEqual(await models(made), ['other']);
    assert.equal((await ask(made, 'other')).status, 200);
    assert.equal((await ask(made, 'open')).code, 'model_not_found');
    assert.equal((await b.client.get('/v1/models/open', bearer(made))).code, 'model_not_found');
  });

  it('is never widened: a model above its owner’s clearance, or none at all, stays closed', async () => {
    const made = await make({ models: ['secret', 'nothing', 'open'] });
    assert.deepEqual(await models(made), ['open']);
    for (const model of ['secret', 'nothing']) assert.equal((await ask(made, model)).code, 'model_not_found');
  });

  it('is narrowed to actions', async () => {
    const lister = await make({ actions: ['models.list'] });
    assert.equal((await b.client.get('/v1/models', bearer(lister))).status, 200);
    assert.deepEqual(await models(lister), []);
    assert.equal((await ask(lister, 'open')).code, 'model_not_found');
    assert.equal((await b.client.get('/v1/usage', bearer(lister))).status, 403);
    const asker = await make({ actions: ['infer'] });
    assert.equal((await ask(asker, 'open')).status, 200);
    for (const path of ['/v1/models', '/v1/usage', '/auth/session'])
      assert.equal((await b.client.get(path, bearer(asker))).status, 403, path);
    for (const actions of [['users.create'], ['*'], [], ['key.create']])
      assert.ok((await create({ actions })).status >= 400, `${actions}`);
  });

  it('ends by the clock of the database', async () => {
    const made = await make({ expires_in_days: 1 });
    assert.equal((await ask(made, 'open')).status, 200);
    const older = (interval: string) =>
      a.database.sql('UPDATE api_key SET expires_at = expires_at - $2::interval WHERE id = $1', [made.id, interval]);
    await older('23 hours 59 minutes');
    assert.equal((await ask(made, 'open')).status, 200);
    await older('1 minute');
    assert.equal((await ask(made, 'open')).status, 401);
    assert.equal((await make())['expires_at'], null);
  });

  it('a revoked one is refused by the other gateway at the next request; nobody revokes another’s', async () => {
    const made = await make();
    assert.equal((await ask(made, 'open')).status, 200);
    const revoke = (who: Person) => a.client.request('DELETE', `/auth/keys/${made.id}`, { headers: who.bearer });
    const stranger = await newPerson(a, admin, { username: 'eve', roles: ['analyst'] });
    assert.equal((await revoke(stranger)).code, 'not_found');
    assert.equal((await ask(made, 'open')).status, 200);
    assert.equal((await revoke(analyst)).status, 204);
    assert.equal((await ask(made, 'open')).status, 401);
    assert.equal((await revoke(analyst)).code, 'not_found');
  });

  it('loses what its owner loses; with the account disabled everything, until it is enabled; a reset ends it for good', async () => {
    const owner = await newPerson(a, admin, { username: 'kim', roles: ['analyst'], clearance: 3 });
    const made = await make({}, owner);
    assert.deepEqual(await models(made), ['open', 'other', 'secret']);
    const change = (method: string, verb: string, body?: object) =>
      stepped(a, admin, { method, path: `/admin/users/${owner.subject}${verb}`, ...(body ? { body } : {}) });
    await change('PATCH', '', { clearance: 0 });
    assert.deepEqual(await models(made), ['open', 'other']);
    await change('POST', '/disable');
    assert.equal((await ask(made, 'open')).status, 401);
    await change('POST', '/enable');
    assert.equal((await ask(made, 'open')).status, 200);
    assert.equal((await change('POST', '/reset')).status, 200);
    assert.equal((await ask(made, 'open')).status, 401);
    const [row] = await a.database.sql<{ gone: boolean }>(
      'SELECT revoked_at IS NOT NULL AS gone FROM api_key WHERE id = $1',
      [made.id],
    );
    assert.equal(row?.gone, true);
  });

  it('is known by its whole text', async () => {
    const made = await make();
    for (const key of [made.key.slice(0, -1), `${made.key}A`, made.key.toLowerCase(), `srk_${'A'.repeat(43)}`, made.id])
      assert.equal((await b.client.get('/v1/models', { 'x-api-key': key })).status, 401, key);
    assert.equal((await b.client.get('/v1/models', { 'x-api-key': made.key })).status, 200);
  });
});
