import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exportJWK, SignJWT } from 'jose';
import { BankProvider, type BankUser } from '../fakes/bank-provider.ts';
import { present, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const CLIENT = { clientId: 'strongroom', clientSecret: 'a-secret-of-the-registration' };
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const PATH = '/auth/oidc/backchannel-logout';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const li: BankUser = { sub: 'u-1', claims: { preferred_username: 'li.wei', roles: ['llm-users'] } };

const pairOf = (answer: Answer, name: string) =>
  [answer.headers['set-cookie'] ?? []]
    .flat()
    .find((one) => one.startsWith(`${name}=`))
    ?.split(';', 1)[0] ?? '';

async function freePort(): Promise<number> {
  const server = createNetServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const settings = (issuer: string, dataDir: string, port = 0) => ({
  models: {},
  http: { port, drainSeconds: 1 },
  identity: {
    oidc: {
      issuer,
      clientId: CLIENT.clientId,
      clientSecretFile: join(dataDir, 'client-secret'),
      roles: { 'llm-users': 'analyst' },
    },
  },
});
const open = (issuer: string, port?: number) =>
  TestGateway.open(async (dataDir) => {
    await writeFile(join(dataDir, 'client-secret'), CLIENT.clientSecret, { mode: 0o600 });
    return settings(issuer, dataDir, port);
  });
const post = (gateway: TestGateway, token: string): Promise<Answer> =>
  gateway.client.request('POST', PATH, { headers: FORM, raw: new URLSearchParams({ logout_token: token }).toString() });

describe('back-channel logout, from a real provider', () => {
  let provider: BankProvider;
  let a: TestGateway;
  let b: TestGateway;
  before(async () => {
    provider = await BankProvider.start();
    const port = await freePort();
    const redirectUri = `https://localhost:${port}/auth/oidc/callback`;
    await provider.register({ ...CLIENT, redirectUri, logoutUri: `https://localhost:${port}${PATH}` });
    a = await open(provider.issuer, port);
    b = await a.replica(settings(provider.issuer, a.dataDir));
  });
  after(async () => {
    await b?.[Symbol.asyncDispose]();
    await a?.[Symbol.asyncDispose]();
    await provider?.[Symbol.asyncDispose]();
  });

  const signIn = async (user: BankUser) => {
    await provider.becomes(user);
    const start = await a.client.get('/auth/oidc/start');
    const callback = await provider.visit(start.headers.location ?? '');
    const cookie = pairOf(start, '__Host-strongroom-oidc');
    const back = await a.client.get(`${callback.pathname}${callback.search}`, { cookie });
    assert.equal(back.headers.location, '/', back.text);
    return { cookie: pairOf(back, '__Host-strongroom') };
  };
  const look = (test: TestGateway, headers: { cookie: string }) => test.client.get('/auth/session', headers);

  it('ends the one session that the provider names, on every replica; then all of a user', async () => {
    const [first, second, other] = [
      await signIn(li),
      await signIn(li),
      await signIn({ ...li, sub: 'u-2', claims: { ...li.claims, preferred_username: 'kim' } }),
    ];
    for (const test of [a, b])
      for (const who of [first, second, other]) assert.equal((await look(test, who)).status, 200);
    const sids = await a.database.sql<{ sid: string }>(
      "SELECT provider_sid AS sid FROM session s JOIN account a ON a.id = s.account_id WHERE a.external_subject LIKE '% u-1' ORDER BY s.created_at",
    );
    assert.ok(sids[0]?.sid && sids[1]?.sid && sids[0].sid !== sids[1].sid);

    const token = await provider.logoutToken(CLIENT.clientId, 'u-1', sids[0].sid);
    assert.equal((await post(b, token)).status, 200);
    for (const test of [a, b]) assert.equal((await look(test, first)).status, 401);
    assert.equal((await look(a, second)).status, 200);
    assert.equal((await post(a, token)).status, 400, 'a token counts once, on whichever replica');

    assert.equal((await post(a, await provider.logoutToken(CLIENT.clientId, 'u-1'))).status, 200);
    for (const test of [a, b]) assert.equal((await look(test, second)).status, 401);
    for (const test of [a, b]) assert.equal((await look(test, other)).status, 200);
    // What the provider wants is so already: the same answer.
    assert.equal((await post(a, await provider.logoutToken(CLIENT.clientId, 'u-1'))).status, 200);
    const rows = await a.database.sql<{ outcome: string; record: string }>(
      "SELECT outcome, record FROM entry WHERE action = 'session.provider_logout' ORDER BY seq",
    );
    assert.deepEqual(
      rows.map(({ outcome }) => outcome),
      ['completed', 'denied', 'completed', 'completed'],
    );
    assert.ok(rows.every(({ record }) => !record.includes('u-1') && !record.includes(token)));
  });

  it('sends it by itself when its user signs out there', async () => {
    const session = await signIn(li);
    assert.equal((await look(b, session)).status, 200);
    const [row] = await a.database.sql<{ sid: string }>(
      'SELECT provider_sid AS sid FROM session WHERE ended_at IS NULL ORDER BY created_at DESC LIMIT 1',
    );
    await provider.signsOut(CLIENT.clientId, 'u-1', present(row).sid, a.authority.toString());
    for (const test of [b, a]) assert.equal((await look(test, session)).status, 401);
  });
});

describe('back-channel logout, from somebody else', () => {
  const keys = {
    mine: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    foreign: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  };
  let published: Server;
  let issuer: string;
  let gateway: TestGateway;
  before(async () => {
    const jwk = { ...(await exportJWK(keys.mine.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
    published = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify(
          request.url === '/jwks'
            ? { keys: [jwk] }
            : {
                issuer,
                authorization_endpoint: `${issuer}/a`,
                token_endpoint: `${issuer}/t`,
                jwks_uri: `${issuer}/jwks`,
                id_token_signing_alg_values_supported: ['ES256'],
              },
        ),
      );
    });
    await new Promise<void>((resolve) => published.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(published.address() as AddressInfo).port}`;
    gateway = await open(issuer);
    await gateway.database.sql(
      `INSERT INTO account (id, username, roles, external_subject, created_at) VALUES ('usr_x', 'x', '{analyst}', $1, now())`,
      [`${issuer} u-1`],
    );
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await new Promise((resolve) => published.close(resolve));
  });

  const now = () => Math.floor(Date.now() / 1000);
  const good = () => ({
    iss: issuer,
    aud: CLIENT.clientId,
    sub: 'u-1',
    iat: now(),
    exp: now() + 60,
    jti: randomUUID(),
    events: { [EVENT]: {} },
  });
  const sign = (claims: object, header: object = {}, key = keys.mine.privateKey) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'logout+jwt', ...header }).sign(key);
  const sessionIsOpen = async () => {
    const [row] = await gateway.database.sql<{ open: boolean }>(
      "SELECT ended_at IS NULL AS open FROM session WHERE ref = 'r'",
    );
    return row?.open;
  };
  const openSession = () =>
    gateway.database.sql(
      `INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at, provider_sid)
       VALUES ('r', 'usr_x', '{provider}', now(), now(), 1800, now() + interval '1 hour', 's-1')
       ON CONFLICT (ref) DO UPDATE SET ended_at = NULL`,
    );

  it('a good one ends the session: what is refused below is refused for its own reason', async () => {
    for (const claims of [good(), { ...good(), sub: undefined, sid: 's-1' }, { ...good(), sid: 's-1' }]) {
      await openSession();
      const answer = await post(gateway, await sign(claims));
      assert.equal(answer.status, 200, answer.text);
      assert.match(String(answer.headers['cache-control']), /no-store/);
      assert.equal(await sessionIsOpen(), false);
    }
  });

  it('refuses what is none, each for one fault alone, and ends nothing', async () => {
    await openSession();
    const without = (name: string) => Object.fromEntries(Object.entries(good()).filter(([key]) => key !== name));
    const unsigned = [{ alg: 'none', typ: 'logout+jwt' }, good()]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const hostile: [string, string][] = [
      ['another issuer', await sign({ ...good(), iss: 'https://other.test' })],
      ['another audience', await sign({ ...good(), aud: 'other' })],
      ['no audience', await sign(without('aud'))],
      ['no iat', await sign(without('iat'))],
      ['an old one', await sign({ ...good(), iat: now() - 300, exp: now() + 60 })],
      ['one of the future', await sign({ ...good(), iat: now() + 600, exp: now() + 900 })],
      ['no exp', await sign(without('exp'))],
      ['an expired one', await sign({ ...good(), exp: now() - 60 })],
      ['no jti', await sign(without('jti'))],
      ['an empty jti', await sign({ ...good(), jti: '' })],
      ['no events', await sign(without('events'))],
      ['another event', await sign({ ...good(), events: { 'http://schemas.openid.net/event/other': {} } })],
      ['an event that is no object', await sign({ ...good(), events: { [EVENT]: true } })],
      ['an inherited event', await sign({ ...good(), events: { constructor: {} } })],
      ['a nonce: an ID token', await sign({ ...good(), nonce: 'x' })],
      ['neither user nor session', await sign(without('sub'))],
      ['a subject that is no text', await sign({ ...good(), sub: 7 })],
      ['a sid that is no text', await sign({ ...good(), sid: ['s-1'] })],
      ['the type of an ID token', await sign(good(), { typ: 'JWT' })],
      ['no type', await sign(good(), { typ: undefined })],
      ['a foreign key', await sign(good(), {}, keys.foreign.privateKey)],
      ['a key that is not published', await sign(good(), { kid: 'two' })],
      ['no signature', `${unsigned}.`],
      [
        'a changed payload',
        (await sign(good())).replace(/\.[^.]+\./, `.${Buffer.from(JSON.stringify(good())).toString('base64url')}.`),
      ],
      ['no token', 'x'],
      ['nothing', ' '],
    ];
    for (const [name, token] of hostile) {
      const answer = await post(gateway, token);
      assert.equal(answer.status, 400, `${name}: ${answer.text}`);
      assert.equal(await sessionIsOpen(), true, name);
    }
  });

  it('another user’s, another session’s and another provider’s subject end nothing of this one', async () => {
    await openSession();
    for (const claims of [
      { ...good(), sub: 'u-2' },
      { ...good(), sid: 's-2' },
      { ...good(), sub: undefined, sid: 's-2' },
      { ...good(), sub: '%' },
      { ...good(), sub: 'u-2', sid: 's-1' },
    ]) {
      assert.equal((await post(gateway, await sign(claims))).status, 200);
      assert.equal(await sessionIsOpen(), true);
    }
  });

  it('32 at once with one token: it counts once', async () => {
    const token = await sign(good());
    const answers = await Promise.all(Array.from({ length: 32 }, () => post(gateway, token)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.ok(answers.every(({ status }) => status === 200 || status === 400 || status === 503));
  });

  it('takes a form and nothing else; a page of another site can’t send it', async () => {
    const token = await sign(good());
    assert.equal((await gateway.client.post(PATH, { logout_token: token })).status, 415);
    const raw = new URLSearchParams({ logout_token: token }).toString();
    const send = (headers: object, body = raw) =>
      gateway.client.request('POST', PATH, { headers: { ...FORM, ...headers }, raw: body });
    assert.equal((await send({ origin: 'https://evil.test' })).status, 403);
    assert.equal((await send({}, `${raw}&${raw}`)).status, 400);
    assert.equal((await send({}, 'x=1')).status, 422);
    assert.equal((await send({})).status, 200);
  });
});
