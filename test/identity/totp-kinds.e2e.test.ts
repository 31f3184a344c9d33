import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { present, TestGateway } from '../harness/gateway.ts';
import {
  enrol,
  firstAdmin,
  forgetGuesses,
  forgetSteps,
  invite,
  newPerson,
  PASSWORD,
  type Person,
  signIn,
} from './people.ts';

interface Begun {
  readonly secret: string;
  readonly uri: string;
  readonly algorithm: string;
  readonly digits: number;
}

describe('authenticators by configuration', () => {
  let strong: TestGateway;
  let plain: TestGateway;
  let admin: Person;
  before(async () => {
    strong = await TestGateway.open({ models: {}, identity: { totp: { algorithm: 'sha256', digits: 8 } } });
    plain = await strong.replica({ models: {} });
    admin = await firstAdmin(strong);
  });
  after(async () => {
    await plain[Symbol.asyncDispose]();
    await strong[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(strong);
    await forgetSteps(strong);
  });

  const begin = async (test: TestGateway, who: Person) =>
    (await test.client.post('/auth/totp/enrol', { password: PASSWORD }, who.bearer)).json<Begun>();
  const codeFor = ({ secret, algorithm, digits }: Begun) =>
    generateSync({
      secret,
      algorithm: algorithm === 'SHA256' ? 'sha256' : 'sha1',
      digits: digits === 8 ? 8 : 6,
    });
  const login = (test: TestGateway, username: string, code: string) =>
    test.client.post('/auth/login', { username, password: PASSWORD, code });
  const setUp = async (test: TestGateway, username: string) =>
    begin(test, await newPerson(test, admin, { username, roles: ['analyst'] }));

  it('a new secret is of the configured kind, and its URI says so', async () => {
    const begun = await setUp(strong, 'ann');
    assert.deepEqual([begun.algorithm, begun.digits, begun.secret.length], ['SHA256', 8, 52]);
    const uri = new URL(begun.uri);
    assert.deepEqual(
      ['algorithm', 'digits', 'secret'].map((name) => uri.searchParams.get(name)),
      ['SHA256', '8', begun.secret],
    );
    const other = await setUp(plain, 'ben');
    assert.deepEqual([other.algorithm, other.digits, other.secret.length], ['SHA1', 6, 32]);
  });

  it('each keeps its kind, whatever the configuration says later: sign-in on both gateways', async () => {
    for (const test of [strong, plain]) {
      const username = test === strong ? 'cat' : 'dan';
      const { link } = await invite(test, admin, { username, roles: ['analyst'] });
      await enrol(test, link);
      const who = await signIn(test, { username, password: PASSWORD, secret: null });
      const begun = await begin(test, who);
      // Activated where the configuration is the other one.
      const there = test === strong ? plain : strong;
      const wrong = codeFor({ ...begun, algorithm: begun.algorithm === 'SHA1' ? 'SHA256' : 'SHA1' });
      assert.equal((await there.client.post('/auth/totp/activate', { code: wrong }, who.bearer)).status, 401);
      const code = codeFor(begun);
      assert.equal(code.length, begun.digits);
      assert.equal((await there.client.post('/auth/totp/activate', { code }, who.bearer)).status, 200);
      for (const gateway of [strong, plain]) {
        await forgetSteps(strong);
        assert.equal((await login(gateway, username, codeFor(begun))).status, 200);
        await forgetSteps(strong);
        const cut = begun.digits === 8 ? codeFor(begun).slice(2) : `00${codeFor(begun)}`;
        assert.equal((await login(gateway, username, cut)).code, 'invalid_credentials');
        await forgetGuesses(strong);
      }
    }
  });

  it('the admin of the first run, whose file holds a bare secret, has one that every app knows', async () => {
    assert.equal(present(strong.account('admin').totpSecret).length, 32);
    assert.equal((await signIn(plain, admin)).username, 'admin');
  });
});
