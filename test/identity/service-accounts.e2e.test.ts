import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import {
  enrol,
  firstAdmin,
  forgetGuesses,
  invite,
  newPerson,
  PASSWORD,
  type Person,
  proofFor,
  signIn,
  stepped,
  withFactor,
} from './people.ts';

interface Owned {
  readonly id: string;
  readonly name: string;
  readonly owner: { readonly username: string; readonly disabled: boolean };
  readonly limits: Readonly<Record<string, number>>;
  readonly last_used_at: string | null;
}

describe('service accounts and everybody’s keys', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    admin = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const add = (values: object) => stepped(a, admin, { method: 'POST', path: '/admin/users', body: values });
  const service = async (username: string) => {
    const answer = await add({ username, roles: ['service'], department: 'risk', clearance: 1 });
    assert.equal(answer.status, 201, answer.text);
    const { user, enrolment } = answer.json<{ user: { id: string; state: string }; enrolment: unknown }>();
    assert.deepEqual([user.state, enrolment], ['active', null]);
    return user.id;
  };
  const issue = (account: string, more: object = {}) =>
    stepped(a, admin, { method: 'POST', path: '/admin/keys', body: { account, name: 'nightly', ...more } });
  const listed = async () => (await b.client.get('/admin/keys', admin.bearer)).json<{ data: Owned[] }>().data;
  const models = (key: string, test = b) => test.client.get('/v1/models', { 'x-api-key': key });

  it('is made without a link or a password, and signs in by no way', async () => {
    const id = await service('etl');
    for (const password of ['', 'x', PASSWORD]) {
      const answer = await a.client.post('/auth/login', { username: 'etl', password: password || ' ' });
      assert.equal(answer.code, 'invalid_credentials');
    }
    const [row] = await a.database.sql<{ n: string }>('SELECT count(*) AS n FROM enrolment WHERE account_id = $1', [
      id,
    ]);
    assert.equal(row?.n, '0');
    // Not even a password that a DBA gave it opens a session.
    await a.database.sql(
      "UPDATE account SET password_hash = (SELECT password_hash FROM account WHERE username = 'analyst') WHERE id = $1",
      [id],
    );
    await forgetGuesses(a);
    const { password } = a.account('analyst');
    assert.equal((await a.client.post('/auth/login', { username: 'etl', password })).code, 'invalid_credentials');
    await a.database.sql('UPDATE account SET password_hash = NULL WHERE id = $1', [id]);
    const reset = await stepped(a, admin, { method: 'POST', path: `/admin/users/${id}/reset` });
    assert.deepEqual([reset.status, reset.code], [409, 'conflict']);
  });

  it('its keys are made by an admin with a code, shown once, stored as a hash, and work within their limits', async () => {
    const id = await service('scoring');
    const body = {
      account: id,
      name: 'nightly',
      expires_in_days: 7,
      actions: ['models.list'],
      limits: { requests_day: 5 },
    };
    const asked = await a.client.post('/admin/keys', body, admin.bearer);
    assert.deepEqual([asked.status, asked.code], [401, 'step_up_required']);
    assert.equal(asked.json()['operation'], 'Make the API key “nightly” for the service account scoring');
    const made = (await issue(id, body)).json<Owned & { key: string; expires_at: string }>();
    assert.match(made.key, /^srk_[\w-]{43}$/);
    assert.deepEqual([made.limits, made.owner.username], [{ requests_day: 5 }, 'scoring']);
    assert.equal((await models(made.key)).status, 200);
    assert.equal((await b.client.get('/v1/usage', { 'x-api-key': made.key })).status, 403, 'another action');
    const list = await b.client.get('/admin/keys', admin.bearer);
    assert.ok(!list.text.includes(made.key) && list.text.includes(made.id));
    const rows = await a.database.sql('SELECT * FROM api_key WHERE id = $1', [made.id]);
    assert.ok(!JSON.stringify(rows).includes(made.key.slice(4)));
    const [limit] = await a.database.sql('SELECT scope, kind, amount FROM quota_limit WHERE scope = $1', [
      `key:${made.id}`,
    ]);
    assert.deepEqual(limit, { scope: `key:${made.id}`, kind: 'requests_day', amount: '5' });
    // A key is no session: nothing of an admin's is opened by it.
    assert.equal((await a.client.get('/admin/keys', { 'x-api-key': made.key })).code, 'session_required');
  });

  it('a key is revoked on one gateway and dead on the other; its limits go with it', async () => {
    const id = await service('exports');
    const { key, id: keyId } = (await issue(id, { limits: { tokens_day: 10 } })).json<{ key: string; id: string }>();
    for (const test of [a, b]) assert.equal((await models(key, test)).status, 200);
    const revoked = await stepped(a, admin, { method: 'DELETE', path: `/admin/keys/${keyId}` });
    assert.equal(revoked.status, 204);
    for (const test of [b, a]) assert.equal((await models(key, test)).status, 401);
    assert.ok((await listed()).every((one) => one.id !== keyId));
    assert.deepEqual(await a.database.sql('SELECT FROM quota_limit WHERE scope = $1', [`key:${keyId}`]), []);
    const again = await a.client.request('DELETE', `/admin/keys/${keyId}`, { headers: admin.bearer });
    assert.equal(again.code, 'not_found');
    for (const [action, actor] of [
      ['key.create', admin.subject],
      ['key.revoke', admin.subject],
    ]) {
      const rows = await a.database.sql(
        'SELECT FROM entry WHERE resource = $1 AND action = $2 AND actor = $3 AND kind = $4',
        [`key:${keyId}`, action, actor, 'change'],
      );
      assert.equal(rows.length, 1, action);
    }
  });

  it('an admin sees and revokes a person’s key, and makes none in a person’s name', async () => {
    const person = await newPerson(a, admin, { username: 'lin', roles: ['analyst'] });
    const own = await a.client.post('/auth/keys', { name: 'mine', password: PASSWORD }, person.bearer);
    const { key, id } = own.json<{ key: string; id: string }>();
    await models(key);
    const seen = present((await listed()).find((one) => one.id === id));
    assert.deepEqual([seen.owner.username, seen.name], ['lin', 'mine']);
    const refused = await issue(person.subject);
    assert.deepEqual([refused.status, refused.code], [409, 'conflict']);
    assert.equal((await stepped(a, admin, { method: 'DELETE', path: `/admin/keys/${id}` })).status, 204);
    assert.equal((await models(key)).status, 401);
    for (const path of ['/admin/keys', `/admin/keys/${id}`]) {
      const method = path === '/admin/keys' ? 'GET' : 'DELETE';
      assert.equal((await a.client.request(method, path, { headers: person.bearer })).status, 403);
    }
  });

  it('a disabled service account’s keys open nothing, and no new one is made', async () => {
    const id = await service('old-batch');
    const { key } = (await issue(id)).json<{ key: string }>();
    assert.equal((await models(key)).status, 200);
    await stepped(a, admin, { method: 'POST', path: `/admin/users/${id}/disable` });
    for (const test of [b, a]) assert.equal((await models(key, test)).status, 401);
    assert.equal((await issue(id)).code, 'conflict');
  });

  it('nobody becomes a service account and none becomes a person; service stands alone', async () => {
    const id = await service('fixed');
    const person = await invite(a, admin, { username: 'moe', roles: ['analyst'] });
    for (const [account, roles] of [
      [id, ['analyst']],
      [person.id, ['service']],
    ] as const) {
      const path = `/admin/users/${account}`;
      const answer = await stepped(a, admin, { method: 'PATCH', path, body: { roles } });
      assert.deepEqual([answer.status, answer.code], [409, 'conflict']);
    }
    const both = await a.client.post('/admin/users', { username: 'nan', roles: ['service', 'admin'] }, admin.bearer);
    assert.equal(both.status, 400);
    const path = `/admin/users/${id}`;
    assert.equal((await stepped(a, admin, { method: 'PATCH', path, body: { clearance: 3 } })).status, 200);
  });
});

describe('the last admin', () => {
  let a: TestGateway;
  let b: TestGateway;
  let first: Person;
  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    first = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const admins = async () =>
    Number(
      (
        await a.database.sql<{ n: string }>(
          "SELECT count(*) AS n FROM account WHERE 'admin' = ANY (roles) AND disabled_at IS NULL AND password_hash IS NOT NULL",
        )
      )[0]?.n,
    );
  const act = (who: Person, verb: string, body?: object) => ({
    method: body === undefined ? 'POST' : 'PATCH',
    path: `/admin/users/${who.subject}${verb}`,
    ...(body === undefined ? {} : { body }),
  });

  it('is neither demoted nor reset, also not by himself; an invited one does not count', async () => {
    await invite(a, first, { username: 'later', roles: ['admin'] });
    for (const operation of [act(first, '', { roles: ['analyst'] }), act(first, '/reset'), act(first, '/disable')]) {
      const answer = await stepped(a, first, operation);
      assert.deepEqual([answer.status, answer.code], [409, 'conflict'], operation.path);
    }
    assert.equal(await admins(), 1);
    assert.equal((await stepped(a, first, act(first, '', { roles: ['admin', 'auditor'] }))).status, 200);
    first = await firstAdmin(a);
  });

  it('two who demote, disable or reset one another at once: one stays, every time', async () => {
    for (const [round, [verb, body]] of (
      [
        ['', { roles: ['analyst'] }],
        ['/disable', undefined],
        ['/reset', undefined],
        ['', { roles: ['auditor'] }],
      ] as const
    ).entries()) {
      const { link, username } = await invite(a, first, { username: `second-${round}`, roles: ['admin'] });
      await enrol(a, link);
      const plain = await a.client.post('/auth/login', { username, password: PASSWORD });
      const { token, user } = plain.json<{ token: string; user: { id: string } }>();
      const bearer = { authorization: `Bearer ${token}` };
      const session = { token, subject: user.id, bearer, cookie: {}, username, password: PASSWORD, secret: null };
      const { person: second } = await withFactor(a, session);
      assert.equal(await admins(), 2);
      // Both have their proofs; now both act, each on a gateway of his own.
      const proofs = [];
      for (const [who, whom] of [
        [first, second],
        [second, first],
      ] as const) {
        const operation = act(whom, verb, body);
        proofs.push({ who, operation, proof: await proofFor(a, who, operation) });
      }
      const answers = await Promise.all(
        proofs.map(({ who, operation: { method, path, body: change }, proof }, n) =>
          (n === 0 ? a : b).client.request(method, path, {
            headers: { ...who.bearer, 'step-up-proof': proof },
            ...(change === undefined ? {} : { body: change }),
          }),
        ),
      );
      assert.equal(await admins(), 1, `round ${round}: ${answers.map(({ text }) => text).join(' ')}`);
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      // Whoever is left begins the next round.
      const [left] = await a.database.sql<{ username: string }>(
        "SELECT username FROM account WHERE 'admin' = ANY (roles) AND disabled_at IS NULL AND password_hash IS NOT NULL",
      );
      first = await signIn(a, left?.username === first.username ? first : second);
    }
  });
});
