import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { SoftAuthenticator } from '../fakes/authenticator.ts';
import { BankProvider, type BankUser } from '../fakes/bank-provider.ts';
import { freePort } from '../harness/free-port.ts';
import { eventually, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const CLIENT = { clientId: 'strongroom', clientSecret: 'a-secret-of-the-registration' };
const LI: BankUser = {
  sub: 'u-1001',
  claims: { preferred_username: 'Li.Wei', roles: ['llm-users'], department: 'risk', clearance: '2', branch: 'north' },
};
/** The route wants one to be there; he has none. */
const NO_PASSWORD = { password: '-' };
const cookiesOf = (answer: Answer) => [answer.headers['set-cookie'] ?? []].flat();
const pairOf = (answer: Answer, name: string) =>
  cookiesOf(answer)
    .find((one) => one.startsWith(`${name}=`))
    ?.split(';', 1)[0] ?? '';

describe('sign-in through the identity provider', () => {
  let provider: BankProvider;
  let gateway: TestGateway;

  before(async () => {
    provider = await BankProvider.start();
    // The provider must know where to send browsers back to before the gateway listens there.
    const port = await freePort();
    await provider.register({ ...CLIENT, redirectUri: `https://localhost:${port}/auth/oidc/callback` });
    gateway = await TestGateway.open(async (dataDir) => {
      await writeFile(join(dataDir, 'client-secret'), `${CLIENT.clientSecret}\n`, { mode: 0o600 });
      return {
        models: {},
        http: { port, drainSeconds: 1 },
        identity: {
          localAccounts: false,
          oidc: {
            issuer: provider.issuer,
            clientId: CLIENT.clientId,
            clientSecretFile: join(dataDir, 'client-secret'),
            roles: { 'llm-users': 'analyst', 'llm-audit': 'auditor', 'llm-admins': 'admin' },
            attributes: { department: 'department', clearance: 'clearance', branch: 'branch' },
            secondFactorAcr: ['mfa'],
          },
        },
      };
    });
  });
  after(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await provider?.[Symbol.asyncDispose]();
  });

  const start = async (query = '') => {
    const answer = await gateway.client.get(`/auth/oidc/start${query}`);
    assert.equal(answer.status, 302);
    return { url: new URL(answer.headers.location ?? ''), cookie: pairOf(answer, '__Host-strongroom-oidc'), answer };
  };
  const comeBack = (callback: URL, cookie: string) =>
    gateway.client.get(`${callback.pathname}${callback.search}`, { cookie });
  const signIn = async (user: BankUser, query = '') => {
    await provider.becomes(user);
    const { url, cookie } = await start(query);
    return comeBack(await provider.visit(url.href), cookie);
  };
  const sessionOf = async (answer: Answer) => {
    assert.equal(answer.headers.location, '/');
    const headers = { cookie: pairOf(answer, '__Host-strongroom') };
    const { user } = (await gateway.client.get('/auth/session', headers)).json<{ user: SessionUser }>();
    return { headers, user };
  };
  const failedWith = (answer: Answer, error: string) => {
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.location, `/#/sign-in?error=${error}`);
    assert.equal(pairOf(answer, '__Host-strongroom'), '');
  };
  /** The newest refusal is this one: it is recorded behind its answer. */
  const denied = (code: string): Promise<Record<string, unknown>> =>
    eventually(async () => {
      const [row] = await gateway.database.sql<{ record: string }>(
        "SELECT record FROM entry WHERE kind = 'sign-in' AND outcome = 'denied' ORDER BY seq DESC LIMIT 1",
      );
      const event = row && JSON.parse(row.record).event;
      return event?.outcome_code === code && event;
    });

  it('asks with PKCE S256, state and nonce, and keeps their secrets in a sealed cookie of ten minutes', async () => {
    const { url, answer } = await start();
    assert.equal(url.origin, provider.issuer);
    assert.equal(url.searchParams.get('code_challenge_method'), 'S256');
    assert.match(url.searchParams.get('code_challenge') ?? '', /^[\w-]{43}$/);
    assert.match(url.searchParams.get('state') ?? '', /^[\w-]{43}$/);
    assert.match(url.searchParams.get('nonce') ?? '', /^[\w-]{43}$/);
    const [cookie = ''] = cookiesOf(answer);
    for (const part of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax', 'Max-Age=600'])
      assert.ok(cookie.includes(part));
    const clear = Buffer.from(cookie.split(/[=;]/)[1] ?? '', 'base64url').toString('latin1');
    assert.ok(!clear.includes(url.searchParams.get('state') ?? '?'));
  });

  it('makes the account of a user who comes for the first time, with mapped role and attributes', async () => {
    const { user } = await sessionOf(await signIn(LI));
    assert.equal(user.username, 'li.wei');
    assert.deepEqual(user.roles, ['analyst']);
    assert.deepEqual(user.attributes, { department: 'risk', clearance: 2, branch: 'north' });
    const again = await sessionOf(await signIn(LI));
    assert.equal(again.user.id, user.id);
    const rows = await gateway.database.sql<{ action: string }>(
      'SELECT action FROM entry WHERE resource = $1 ORDER BY seq',
      [`account:${user.id}`],
    );
    assert.deepEqual(
      rows.map(({ action }) => action),
      ['account.create', 'session.create', 'session.create'],
    );
  });

  it('obeys a change of role at the next sign-in, which ends the sessions before it', async () => {
    const before = await sessionOf(await signIn(LI));
    const changed = await sessionOf(
      await signIn({ ...LI, claims: { ...LI.claims, roles: ['llm-audit'], clearance: '9' } }),
    );
    assert.equal(changed.user.id, before.user.id);
    assert.deepEqual(changed.user.roles, ['auditor']);
    assert.equal(changed.user.attributes.clearance, 0);
    assert.equal((await gateway.client.get('/auth/session', before.headers)).status, 401);
  });

  it('refuses a user without a mapped role, on the record and without saying why', async () => {
    failedWith(await signIn({ sub: 'u-7', claims: { preferred_username: 'guest', roles: ['canteen'] } }), 'refused');
    assert.match(String((await denied('no_role'))['subject_hmac']), /^[0-9a-f]{64}$/);
  });

  it('does not take over an account of the same name', async () => {
    failedWith(await signIn({ sub: 'u-8', claims: { preferred_username: 'admin', roles: ['llm-admins'] } }), 'refused');
    failedWith(await signIn({ sub: 'u-9', claims: { preferred_username: 'li.wei', roles: ['llm-users'] } }), 'refused');
    const [row] = await gateway.database.sql<{ n: string }>(
      'SELECT count(*) AS n FROM account WHERE external_subject IS NOT NULL',
    );
    assert.equal(row?.n, '1');
  });

  it('refuses a wrong state, a wrong nonce, a foreign challenge, a lost cookie and a changed one', async () => {
    await provider.becomes(LI);
    const state = await start();
    const callback = await provider.visit(state.url.href);
    const forged = new URL(callback);
    forged.searchParams.set('state', 'x'.repeat(43));
    failedWith(await comeBack(forged, state.cookie), 'failed');
    failedWith(await comeBack(callback, ''), 'failed');
    failedWith(await comeBack(callback, `${state.cookie.slice(0, -4)}AAAA`), 'failed');
    failedWith(await comeBack(callback, (await start()).cookie), 'failed');
    // The code was good all the while: none of these reached the provider with it.
    await sessionOf(await comeBack(callback, state.cookie));
    for (const name of ['nonce', 'code_challenge']) {
      const { url, cookie } = await start();
      url.searchParams.set(name, 'x'.repeat(43));
      failedWith(await comeBack(await provider.visit(url.href), cookie), 'failed');
    }
    await denied('provider_answer');
  });

  it('opens one session by one sign-in: the callback again opens none', async () => {
    await provider.becomes(LI);
    const { url, cookie } = await start();
    const callback = await provider.visit(url.href);
    await sessionOf(await comeBack(callback, cookie));
    failedWith(await comeBack(callback, cookie), 'failed');
    // With another code of the provider for the same sign-in, too: the state is spent in the database.
    const twice = await start();
    const [first, second] = [await provider.visit(twice.url.href), await provider.visit(twice.url.href)];
    await sessionOf(await comeBack(first, twice.cookie));
    failedWith(await comeBack(second, twice.cookie), 'failed');
    await denied('replayed');
  });

  it('takes everything from a user who has lost his last role', async () => {
    const before = await sessionOf(await signIn(LI));
    failedWith(await signIn({ ...LI, claims: { ...LI.claims, roles: [] } }), 'refused');
    assert.equal((await gateway.client.get('/auth/session', before.headers)).status, 401);
    assert.equal((await sessionOf(await signIn(LI))).user.id, before.user.id);
  });

  it('ends in an error of the provider without repeating it', async () => {
    const { url, cookie } = await start();
    const back = new URL('https://localhost/auth/oidc/callback');
    back.searchParams.set('error', 'access_denied');
    back.searchParams.set('error_description', 'the reason is a secret');
    back.searchParams.set('state', url.searchParams.get('state') ?? '');
    back.searchParams.set('iss', provider.issuer);
    failedWith(await comeBack(back, cookie), 'failed');
  });

  it('counts as a second factor only what the configuration names', async () => {
    const chief = { sub: 'u-2', claims: { preferred_username: 'chief', roles: ['llm-admins'] } };
    const one = await sessionOf(await signIn({ ...chief, amr: ['pwd'] }));
    assert.equal(one.user.must_enrol, true);
    assert.equal((await gateway.client.get('/admin/users', one.headers)).status, 403);
    const two = await sessionOf(await signIn({ ...chief, acr: 'mfa' }));
    assert.equal(two.user.must_enrol, false);
    assert.equal((await gateway.client.get('/admin/users', two.headers)).status, 200);
  });

  it('lets a user show his own authenticator where the provider asked for one factor only', async () => {
    const chief = { sub: 'u-2', claims: { preferred_username: 'chief', roles: ['llm-admins'] } };
    const fresh = await sessionOf(await signIn(chief, '?fresh=true'));
    const begun = await gateway.client.post('/auth/totp/enrol', NO_PASSWORD, fresh.headers);
    const { secret } = begun.json<{ secret: string }>();
    const activated = await gateway.client.post(
      '/auth/totp/activate',
      { code: generateSync({ secret }) },
      fresh.headers,
    );
    assert.equal(activated.status, 200, activated.text);
    await gateway.database.sql("UPDATE account SET totp_last_step = 0 WHERE username = 'chief'");
    const one = await sessionOf(await signIn(chief));
    assert.equal(one.user.must_enrol, true);
    const wrong = await gateway.client.post('/auth/oidc/code', { code: '000000' }, one.headers);
    assert.equal(wrong.code, 'invalid_credentials');
    const code = generateSync({ secret });
    const confirmed = await gateway.client.post('/auth/oidc/code', { code }, one.headers);
    assert.equal(confirmed.status, 200, confirmed.text);
    const headers = { cookie: pairOf(confirmed, '__Host-strongroom') };
    assert.equal((await gateway.client.get('/admin/users', headers)).status, 200);
    assert.equal((await gateway.client.get('/auth/session', one.headers)).status, 401, 'a new id takes its place');
    const again = await sessionOf(await signIn(chief));
    assert.equal((await gateway.client.post('/auth/oidc/code', { code }, again.headers)).code, 'code_used');
  });

  it('lets a user show his own passkey there, once, in the session that asked', async () => {
    const deputy = { sub: 'u-3', claims: { preferred_username: 'deputy', roles: ['llm-admins'] } };
    const fresh = await sessionOf(await signIn(deputy, '?fresh=true'));
    const post = (path: string, body: unknown, { headers }: { headers: Record<string, string> }) =>
      gateway.client.request('POST', path, { headers, ...(body === undefined ? {} : { body }) });
    const device = new SoftAuthenticator(gateway.url);
    const begun = await post('/auth/webauthn/register/options', {}, fresh);
    const made = await post(
      '/auth/webauthn/register',
      { name: 'Key', attestation: device.create(begun.json()) },
      fresh,
    );
    assert.equal(made.status, 201, made.text);
    const one = await sessionOf(await signIn(deputy));
    const two = await sessionOf(await signIn(deputy));
    assert.equal(one.user.must_enrol, true);
    const more = await post('/auth/webauthn/register/options', {}, one);
    assert.equal(more.code, 'step_up_required', 'not a second one before the first is shown');
    const assertion = device.get((await post('/auth/webauthn/confirm/options', undefined, one)).json());
    assert.equal((await post('/auth/webauthn/confirm', { assertion }, two)).code, 'invalid_credentials');
    const again = device.get((await post('/auth/webauthn/confirm/options', undefined, one)).json());
    const confirmed = await post('/auth/webauthn/confirm', { assertion: again }, one);
    assert.equal(confirmed.status, 200, confirmed.text);
    const headers = { cookie: pairOf(confirmed, '__Host-strongroom') };
    assert.equal((await gateway.client.get('/admin/users', headers)).status, 200);
    assert.equal((await gateway.client.get('/auth/session', one.headers)).status, 401, 'a new id takes its place');
    assert.equal((await post('/auth/webauthn/confirm', { assertion: again }, two)).code, 'invalid_credentials');
  });

  it('lets a user whom the provider has just asked again set up a factor without a password', async () => {
    const old = await sessionOf(await signIn(LI));
    const refused = await gateway.client.post('/auth/totp/enrol', NO_PASSWORD, old.headers);
    assert.equal(refused.status, 401);
    const fresh = await sessionOf(await signIn(LI, '?fresh=true'));
    assert.equal((await gateway.client.post('/auth/totp/enrol', NO_PASSWORD, fresh.headers)).status, 200);
  });

  it('refuses a disabled account', async () => {
    await gateway.database.sql("UPDATE account SET disabled_at = now(), epoch = epoch + 1 WHERE username = 'li.wei'");
    failedWith(await signIn(LI), 'refused');
    await denied('account_disabled');
  });

  it('leaves a password to the admin alone', async () => {
    assert.deepEqual((await gateway.client.get('/auth/methods')).json(), { local_accounts: false, oidc: true });
    const { username, password } = gateway.account('analyst');
    const answer = await gateway.client.post('/auth/login', { username, password });
    assert.equal(answer.code, 'invalid_credentials');
    await gateway.signIn('admin');
  });
});

interface SessionUser {
  readonly id: string;
  readonly username: string;
  readonly roles: readonly string[];
  readonly attributes: { readonly department: string; readonly clearance: number; readonly branch: string };
  readonly must_enrol: boolean;
}
