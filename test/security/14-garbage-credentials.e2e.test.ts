import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Session, TestGateway } from '../harness/gateway.ts';

const garbage = (prefix: string) => `${prefix}_${randomBytes(32).toString('base64url')}`;

describe('promise 14: made-up credentials cost the database no more than so much', () => {
  let test: TestGateway;
  let analyst: Session;
  before(async () => {
    test = await TestGateway.open({ models: {}, http: { trustedProxies: ['127.0.0.1'] } });
    analyst = await test.signIn('analyst');
  });
  after(() => test[Symbol.asyncDispose]());

  const ask = (headers: Record<string, string>, from: string) =>
    test.client.get('/auth/session', { ...headers, 'x-forwarded-for': from });
  const flood = async (n: number, from: (n: number) => string) => {
    const codes = new Map<string, number>();
    for (let i = 0; i < n; i++) {
      const { code, headers } = await ask({ 'x-api-key': garbage(i % 2 ? 'srk' : 'srs') }, from(i));
      codes.set(code ?? '', (codes.get(code ?? '') ?? 0) + 1);
      if (code === 'too_many_attempts') assert.match(String(headers['retry-after']), /^\d+$/);
    }
    return codes;
  };

  it('from one network, by whichever address of it; whoever is known there goes on, as does every other network', async () => {
    assert.equal((await ask(analyst.bearer, '192.0.2.1')).status, 200);
    const codes = await flood(400, (n) => `192.0.2.${n % 250}`);
    assert.ok((codes.get('unauthenticated') ?? 0) >= 120);
    assert.ok((codes.get('too_many_attempts') ?? 0) > 0, JSON.stringify([...codes]));
    assert.equal(
      [...codes.values()].reduce((sum, n) => sum + n),
      400,
    );
    assert.equal((await ask(analyst.bearer, '192.0.2.1')).status, 200);
    assert.equal((await ask({ 'x-api-key': garbage('srk') }, '198.51.100.1')).code, 'unauthenticated');
    const ipv6 = await flood(200, (n) => `2001:db8:0:1::${n.toString(16)}`);
    assert.ok((ipv6.get('too_many_attempts') ?? 0) > 0, 'a /64 is one network');
    assert.equal((await ask({ 'x-api-key': garbage('srk') }, '2001:db8:0:2::1')).code, 'unauthenticated');
  });

  it('whoever signs in from there in the middle of it is not held up', async () => {
    await flood(200, () => '192.0.2.9');
    const { username, password } = test.account('auditor');
    const signedIn = await test.client.request('POST', '/auth/login', {
      body: { username, password },
      headers: { 'x-forwarded-for': '192.0.2.9' },
    });
    const { token } = signedIn.json<{ token: string }>();
    assert.equal((await ask({ authorization: `Bearer ${token}` }, '192.0.2.9')).status, 200);
  });
});
