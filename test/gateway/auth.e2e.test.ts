import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { type Session, sessionOf, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }] };

describe('sign-in, sessions, passwords and keys', () => {
  let test: TestGateway;
  let replica: TestGateway;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    upstream = await startFakeUpstream();
    const models = { demo: upstreamEntry(upstream.url) };
    test = await TestGateway.open({ models });
    replica = await test.replica({ models });
  });
  after(async () => {
    await replica[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const login = (body: object, headers = {}) => test.client.post('/auth/login', body, headers);
  const credentials = () => {
    const { username, password } = test.account('analyst');
    return { username, password };
  };

  describe('sign-in', () => {
    it('says the same of a wrong password and of a name that nobody has', async () => {
      const wrong = await login({ ...credentials(), password: 'not the password' });
      const unknown = await login({ username: 'nobody', password: 'not the password' });
      const plain = ({ text }: { text: string }) => text.replace(/req_[0-9a-f]+/, '');
      assert.deepEqual([wrong.status, wrong.code], [401, 'invalid_credentials']);
      assert.equal(plain(wrong), plain(unknown));
      assert.deepEqual(Object.keys(wrong.headers).sort(), Object.keys(unknown.headers).sort());
      const [record] = await test.recorded(String(unknown.headers['x-request-id']));
      assert.equal(record?.actor, 'anonymous');
      assert.match(String(record?.event['name_hmac']), /^[0-9a-f]{64}$/);
    });
    it('takes the name and the password to the letter', async () => {
      const { username, password } = credentials();
      for (const body of [
        { username: username.toUpperCase(), password },
        { username: `${username} `, password },
        { username, password: ` ${password}` },
        { username, password: password.toUpperCase() },
      ])
        assert.equal((await login(body)).status, 401);
    });
    it('asks the admin for a code, and only after the right password', async () => {
      const { username, password } = test.account('admin');
      assert.equal((await login({ username, password: 'wrong', code: '000000' })).code, 'invalid_credentials');
      assert.equal((await login({ username, password })).code, 'code_required');
    });
    it('takes a code once', async () => {
      const { username, password } = test.account('admin');
      const code = await test.code();
      assert.equal((await login({ username, password, code })).status, 200);
      const again = await login({ username, password, code });
      assert.deepEqual([again.status, again.code], [401, 'code_used']);
      assert.match(again.headers['retry-after'] ?? '', /^\d+$/);
      const elsewhere = await replica.client.post('/auth/login', { username, password, code });
      assert.equal(elsewhere.code, 'code_used');
    });
    it('sets a cookie that no script reads and no other site sends', async () => {
      const answer = await login(credentials());
      const [cookie = ''] = answer.headers['set-cookie'] ?? [];
      assert.match(cookie, /^__Host-strongroom=srs_[A-Za-z0-9_-]{43}; /);
      for (const attribute of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Strict'])
        assert.ok(cookie.split('; ').includes(attribute), attribute);
      assert.doesNotMatch(cookie, /domain/i);
      assert.equal(answer.headers['cache-control'], 'no-store');
    });
    it('is a new session each time', async () => {
      const [a, b] = [await test.signIn('analyst'), await test.signIn('analyst')];
      assert.notEqual(a.token, b.token);
    });
    it('is not taken from another site', async () => {
      for (const headers of [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        { origin: `http://localhost:${test.port}` },
        { origin: `https://localhost:${test.port + 1}` },
      ])
        assert.equal((await login(credentials(), headers)).code, 'cross_origin', JSON.stringify(headers));
      const own = { origin: `https://localhost:${test.port}`, 'sec-fetch-site': 'same-origin' };
      assert.equal((await login(credentials(), own)).status, 200);
    });
  });

  it('a change that comes with a cookie from another site is refused, a read is not', async () => {
    const session = await test.signIn('analyst');
    const foreign = { ...session.cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const post = (path: string, body?: object) => test.client.request('POST', path, { headers: foreign, body });
    assert.equal((await post('/auth/logout')).code, 'cross_origin');
    assert.equal((await post('/v1/chat/completions', ASK)).code, 'cross_origin');
    assert.equal((await test.client.get('/auth/session', session.cookie)).status, 200, 'the session goes on');
  });

  it('signing out ends the session on this and on the other replica', async () => {
    const session = await test.signIn('analyst');
    const everywhere = [test, replica];
    // Both have it in their caches.
    for (const one of everywhere) assert.equal((await one.client.get('/auth/session', session.bearer)).status, 200);
    const out = await test.client.request('POST', '/auth/logout', { headers: session.cookie });
    assert.equal(out.status, 204);
    assert.match(out.headers['set-cookie']?.[0] ?? '', /^__Host-strongroom=; .*Max-Age=0/);
    for (const one of everywhere) {
      assert.equal((await one.client.get('/auth/session', session.bearer)).status, 401);
      assert.equal((await one.client.post('/v1/chat/completions', ASK, session.bearer)).status, 401);
      assert.equal((await one.client.get('/v1/usage', session.bearer)).status, 401);
    }
  });

  describe('API keys', () => {
    let analyst: Session;
    let key: { id: string; key: string };
    const make = (body: object) => test.client.post('/auth/keys', body, analyst.bearer);

    before(async () => {
      analyst = await test.signIn('analyst');
      const made = await make({ name: 'reports', password: credentials().password });
      assert.equal(made.status, 201);
      key = made.json();
    });

    it('need the password of an account without a second factor', async () => {
      assert.deepEqual([(await make({ name: 'x' })).status, (await make({ name: 'x' })).code], [422, 'schema_invalid']);
      const wrong = await make({ name: 'x', password: 'wrong' });
      assert.deepEqual([wrong.status, wrong.code], [401, 'invalid_credentials']);
      const { data } = (await test.client.get('/auth/keys', analyst.bearer)).json<{ data: unknown[] }>();
      assert.equal(data.length, 1);
    });
    it('are shown once and kept as a hash', async () => {
      assert.match(key.key, /^srk_[A-Za-z0-9_-]{43}$/);
      assert.ok(!(await test.client.get('/auth/keys', analyst.bearer)).text.includes('srk_'));
      const rows = await test.database.sql('SELECT * FROM api_key');
      assert.ok(!JSON.stringify(rows).includes(key.key.slice(4)));
    });
    it('work as bearer and as x-api-key, on every replica', async () => {
      for (const headers of [{ authorization: `Bearer ${key.key}` }, { 'x-api-key': key.key }])
        for (const one of [test, replica])
          assert.equal((await one.client.post('/v1/chat/completions', ASK, headers)).status, 200);
    });
    it('are refused where a session is needed', async () => {
      const headers = { 'x-api-key': key.key };
      for (const [method, path, body] of [
        ['POST', '/auth/logout', undefined],
        ['POST', '/auth/password', { current_password: 'x', new_password: 'y' }],
        ['POST', '/auth/keys', { name: 'more', password: credentials().password }],
        ['GET', '/auth/keys', undefined],
        ['GET', '/admin/models', undefined],
        ['GET', '/audit/events', undefined],
        ['DELETE', `/auth/keys/${key.id}`, undefined],
      ] as const) {
        const answer = await test.client.request(method, path, { headers, ...(body && { body }) });
        assert.deepEqual([answer.status, answer.code], [403, 'session_required'], `${method} ${path}`);
      }
    });
    it('of somebody else can’t be revoked', async () => {
      const auditor = await test.signIn('auditor');
      const answer = await test.client.request('DELETE', `/auth/keys/${key.id}`, { headers: auditor.bearer });
      assert.equal(answer.status, 404);
      assert.equal((await test.client.get('/v1/models', { 'x-api-key': key.key })).status, 200);
    });
    it('end at once when they are revoked, on every replica', async () => {
      for (const one of [test, replica])
        assert.equal((await one.client.get('/v1/models', { 'x-api-key': key.key })).status, 200);
      const revoked = await test.client.request('DELETE', `/auth/keys/${key.id}`, { headers: analyst.bearer });
      assert.equal(revoked.status, 204);
      for (const one of [test, replica]) {
        assert.equal((await one.client.get('/v1/models', { 'x-api-key': key.key })).status, 401);
        assert.equal((await one.client.post('/v1/chat/completions', ASK, { 'x-api-key': key.key })).status, 401);
      }
    });
  });

  describe('the password', () => {
    const change = (session: Session, current: string, next: string) =>
      test.client.post('/auth/password', { current_password: current, new_password: next }, session.bearer);

    it('is not changed to one that is easy to guess, nor without the current one', async () => {
      const session = await test.signIn('auditor');
      const { password, username } = test.account('auditor');
      for (const next of ['short', 'a'.repeat(20), `my name is ${username}`, 'i love strongroom!!', 'x'.repeat(129)])
        assert.ok([400, 422].includes((await change(session, password, next)).status), next);
      assert.equal((await change(session, 'wrong', 'correct horse battery')).code, 'invalid_credentials');
      assert.equal((await test.client.get('/auth/session', session.bearer)).status, 200);
    });
    it('ends every session when it changes, and leaves first-run.json', async () => {
      const file = join(test.dataDir, 'first-run.json');
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const { password, username } = test.account('auditor');
      const [one, other] = [await test.signIn('auditor'), await test.signIn('auditor')];
      assert.equal((await replica.client.get('/auth/session', other.bearer)).status, 200);
      assert.equal((await change(one, password, 'correct horse battery')).status, 204);
      for (const session of [one, other])
        for (const gateway of [test, replica])
          assert.equal((await gateway.client.get('/auth/session', session.bearer)).status, 401);
      assert.equal((await login({ username, password })).status, 401);
      const again = await login({ username, password: 'correct horse battery' });
      assert.equal(sessionOf(again).subject, one.subject);
      assert.ok(existsSync(file));
      const text = await readFile(file, 'utf8');
      assert.ok(!text.includes(password) && !text.includes('auditor') && text.includes('analyst'));
      assert.equal((await stat(file)).mode & 0o777, 0o600);
    });
  });
});
