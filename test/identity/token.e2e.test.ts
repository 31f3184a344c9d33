import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { signingKey, type TokenKey } from '#identity/token.ts';
import { readTokenKeys, rotateTokenKeys } from '#identity/token-keys.files.ts';
import { eventually, type Session, TestGateway } from '../harness/gateway.ts';

const AUDIENCE = 'https://scores.bank.example';

describe('tokens for outside services', () => {
  let gateway: TestGateway;
  let analyst: Session;

  before(async () => {
    gateway = await TestGateway.open({ models: {}, identity: { tokens: { audiences: [AUDIENCE] } } });
    analyst = await gateway.signIn('analyst');
  });
  after(() => gateway?.[Symbol.asyncDispose]());

  const mint = (headers: Readonly<Record<string, string>>, change: object = {}) =>
    gateway.client.post('/auth/token', { audience: AUDIENCE, ...change }, headers);
  const withPassword = () => mint(analyst.bearer, { password: gateway.account('analyst').password });
  const keySet = async () => (await gateway.client.get('/.well-known/jwks.json')).json<JSONWebKeySet & object>();
  const verify = async (token: string, audience = AUDIENCE) =>
    jwtVerify(token, createLocalJWKSet(await keySet()), {
      issuer: gateway.url,
      audience,
      typ: 'at+jwt',
      algorithms: ['ES256'],
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id'],
    });
  const folder = () => join(gateway.dataDir, 'keys');

  it('exchanges a session and the password for a token that a service checks with the published keys', async () => {
    const answer = await withPassword();
    assert.equal(answer.status, 200, answer.text);
    const { access_token: token, ...rest } = answer.json<{ access_token: string }>();
    assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 300 });
    const { payload, protectedHeader } = await verify(token);
    assert.equal(protectedHeader.typ, 'at+jwt');
    assert.equal(payload.sub, analyst.subject);
    assert.deepEqual(payload['roles'], ['analyst']);
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300);
    await assert.rejects(verify(token, 'https://other.bank.example'), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
    const outcome = await gateway.outcome(String(answer.headers['x-request-id']));
    assert.equal(outcome.resource, `audience:${AUDIENCE}`);
    assert.equal(outcome.event['jti'], payload.jti);
  });

  it('asks a session for the password or, with a second factor, for a code of this one operation', async () => {
    assert.equal((await mint(analyst.bearer, {})).code, 'schema_invalid');
    assert.equal((await mint(analyst.bearer, { password: 'not the password' })).code, 'invalid_credentials');
    const admin = await gateway.signIn('admin');
    const refused = await mint(admin.bearer, { password: gateway.account('admin').password });
    assert.equal(refused.code, 'step_up_required');
    const { operation, challenge } = refused.json<{ operation: string; challenge: string }>();
    assert.match(operation, /token for https:\/\/scores/);
    const code = await gateway.code();
    const proof = (await gateway.client.post('/auth/step-up', { challenge, code }, admin.bearer)).json<{
      proof: string;
    }>();
    const headers = { ...admin.bearer, 'step-up-proof': proof.proof };
    const answer = await mint(headers, { password: gateway.account('admin').password });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await mint(headers, { password: gateway.account('admin').password })).code, 'step_up_required');
  });

  it('makes one of a whole API key, and none of a limited one', async () => {
    const { password } = gateway.account('analyst');
    const key = async (limits: object) =>
      (await gateway.client.post('/auth/keys', { name: 'k', password, ...limits }, analyst.bearer)).json<{
        id: string;
        key: string;
      }>();
    const whole = await key({});
    const { payload } = await verify(
      (await mint({ 'x-api-key': whole.key })).json<{ access_token: string }>().access_token,
    );
    assert.equal(payload['client_id'], whole.id);
    const narrow = await mint({ 'x-api-key': (await key({ models: ['demo'] })).key });
    assert.equal(narrow.code, 'forbidden');
  });

  it('makes none for an audience that is not configured, on the record', async () => {
    const answer = await mint(analyst.bearer, { audience: 'https://evil.example' });
    assert.equal(answer.code, 'forbidden');
    const id = String(answer.headers['x-request-id']);
    const record = await eventually(async () => (await gateway.records(id))[0]);
    assert.equal(record.outcome, 'denied');
  });

  it('is never taken by our own API', async () => {
    const { access_token: token } = (await withPassword()).json<{ access_token: string }>();
    for (const headers of [{ authorization: `Bearer ${token}` }, { 'x-api-key': token }])
      for (const path of ['/auth/session', '/v1/models']) {
        assert.equal((await gateway.client.get(path, headers)).status, 401);
      }
    assert.equal((await gateway.client.get('/auth/session', { cookie: `__Host-strongroom=${token}` })).status, 401);
  });

  it('rotates without a restart: tokens of the old key stay good, and its private half is gone', async () => {
    const { access_token: old } = (await withPassword()).json<{ access_token: string }>();
    const [before] = await readTokenKeys(folder());
    await rotateTokenKeys(folder(), Date.now() - 11_000);
    await eventually(async () => (await keySet()).keys.length === 2);
    const { access_token: next } = (await withPassword()).json<{ access_token: string }>();
    const kids = [await verify(old), await verify(next)].map(({ protectedHeader }) => protectedHeader.kid);
    assert.equal(kids[0], before?.jwk.kid);
    assert.notEqual(kids[1], kids[0]);
    const keys = await readTokenKeys(folder());
    assert.equal(keys.find(({ jwk }) => jwk.kid === kids[0])?.d, null);
  });

  it('publishes no private half, and keeps its files to itself', async () => {
    for (const key of (await keySet()).keys) assert.equal('d' in key, false);
    const names = (await readdir(folder())).filter((name) => name.startsWith('token-'));
    assert.equal(names.length, 2);
    for (const name of names) assert.equal((await stat(join(folder(), name))).mode & 0o777, 0o600);
  });

  it('signs with a new key only when every replica has had time to publish it', () => {
    const key = (kid: string, madeAt: number, d: string | null): TokenKey => ({
      jwk: { kty: 'EC', crv: 'P-256', x: '', y: '', kid, alg: 'ES256', use: 'sig' },
      d,
      madeAt,
      retiredAt: d === null ? madeAt : null,
    });
    const held = key('old', 0, 'secret');
    const files = [key('new', 100_000, 'secret'), key('old', 0, null)];
    assert.equal(signingKey(files, held, 105_000)?.jwk.kid, 'old');
    assert.equal(signingKey(files, held, 110_000)?.jwk.kid, 'new');
    assert.equal(signingKey(files, null, 105_000)?.jwk.kid, 'new', 'a gateway that has just started');
    assert.equal(signingKey(files.slice(0, 1), held, 105_000)?.jwk.kid, 'new', 'the old one was taken away');
    assert.equal(signingKey([], held, 105_000), null);
  });
});

describe('without an audience', () => {
  it('there are no tokens, no keys and no such routes', async () => {
    await using gateway = await TestGateway.open({ models: {} });
    const { bearer } = await gateway.signIn('analyst');
    assert.equal((await gateway.client.post('/auth/token', { audience: AUDIENCE }, bearer)).status, 404);
    assert.equal((await gateway.client.get('/.well-known/jwks.json')).status, 404);
    assert.deepEqual(
      (await readdir(join(gateway.dataDir, 'keys'))).filter((name) => name.startsWith('token-')),
      [],
    );
  });
});

describe('the keys of tokens are those that the database knows', () => {
  it('a folder with another key does not start; one with the old and the next does', async () => {
    await using gateway = await TestGateway.open({ models: {}, identity: { tokens: { audiences: [AUDIENCE] } } });
    const folder = join(gateway.dataDir, 'keys');
    const [first] = await readTokenKeys(folder);
    const [row] = await gateway.database.sql<{ fingerprint: string; state: string }>(
      "SELECT fingerprint, state FROM key_file WHERE purpose = 'token'",
    );
    assert.deepEqual(row, { fingerprint: first?.jwk.kid, state: 'head' });
    const foreign = join(gateway.dataDir, 'foreign');
    await rotateTokenKeys(foreign, Date.now());
    const tokens = { audiences: [AUDIENCE] };
    await assert.rejects(
      gateway.replica({ models: {}, identity: { tokens }, keys: { tokenDir: foreign } }),
      (error: Error) => error.message.includes(foreign) && error.message.includes(String(first?.jwk.kid)),
    );
    await rotateTokenKeys(folder, Date.now());
    await using second = await gateway.replica({ models: {}, identity: { tokens } });
    assert.equal((await second.client.get('/.well-known/jwks.json')).status, 200);
  });
});
