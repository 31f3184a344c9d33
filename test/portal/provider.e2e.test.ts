import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { BankProvider, type BankUser } from '../fakes/bank-provider.ts';
import { freePort } from '../harness/free-port.ts';
import { TestGateway } from '../harness/gateway.ts';
import { browserOf, openDesk, VirtualAuthenticator } from '../harness/gateway-browser.ts';
import { challengeFor, codeOf, firstAdmin, forgetGuesses, forgetSteps, invite, PASSWORD } from '../identity/people.ts';
import { placeNamed, routeTable } from '../identity/route-table.ts';

const CLIENT = { clientId: 'strongroom', clientSecret: 'a-secret-of-the-registration' };
const ANALYST: BankUser = { sub: 'u-1', claims: { preferred_username: 'li.wei', roles: ['llm-users'] } };
const CHIEF: BankUser = { sub: 'u-2', claims: { preferred_username: 'chief', roles: ['llm-admins'] } };
const GUEST: BankUser = { sub: 'u-3', claims: { preferred_username: 'guest', roles: ['canteen'] } };

/** What the portal is for a house with an identity provider, from the first link to the thief. */
describe('the portal of a house with an identity provider', () => {
  let provider: BankProvider;
  let test: TestGateway;
  let browser: Browser;

  before(async () => {
    provider = await BankProvider.start();
    const port = await freePort();
    await provider.register({ ...CLIENT, redirectUri: `https://localhost:${port}/auth/oidc/callback` });
    test = await TestGateway.open(async (dataDir) => {
      await writeFile(join(dataDir, 'client-secret'), `${CLIENT.clientSecret}\n`, { mode: 0o600 });
      const oidc = {
        issuer: provider.issuer,
        clientId: CLIENT.clientId,
        clientSecretFile: join(dataDir, 'client-secret'),
        roles: { 'llm-users': 'analyst', 'llm-admins': 'admin' },
        secondFactorAcr: ['mfa'],
      };
      return {
        models: { one: { upstream: { url: 'http://127.0.0.1:9', model: 'none' } } },
        http: { port, drainSeconds: 1 },
        identity: { localAccounts: false, oidc },
      };
    });
    browser = await browserOf(test);
  });
  after(async () => {
    await browser?.close();
    await test?.[Symbol.asyncDispose]();
    await provider?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(test);
    await forgetSteps(test);
  });

  const throughProvider = (page: Page) => page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  const behindGlass = async (page: Page, username: string, password: string) => {
    await page.getByRole('button', { name: /^Break-glass/ }).click();
    await page.getByLabel('Username').fill(username);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.keyboard.press('Enter');
  };
  /** As a telephone does: from what the QR code says, and nothing else. */
  const telephone = async (page: Page): Promise<() => string> => {
    const uri = new URL((await page.locator('a[href^="otpauth://"]').getAttribute('href')) ?? '');
    assert.deepEqual([uri.searchParams.get('period') ?? '30', uri.searchParams.get('digits') ?? '6'], ['30', '6']);
    const secret = uri.searchParams.get('secret') ?? '';
    return () => codeOf(secret);
  };

  it('an admin enrols with a telephone and loads a model with a code; his stolen session changes nothing', async () => {
    const { link } = await invite(test, await firstAdmin(test), { username: 'mei.lin', roles: ['admin'] });
    const { page, leave } = await openDesk(browser);
    await page.goto(`${test.url}/#/enrol/${link}`);
    await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('New password again').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await behindGlass(page, 'mei.lin', PASSWORD);
    await page.getByLabel('Current password').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.locator('.qr').waitFor();
    const code = await telephone(page);
    await page.locator('.code-input').fill(code());
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await behindGlass(page, 'mei.lin', PASSWORD);
    await forgetSteps(test);
    await page.locator('.code-input').fill(code());
    await page.keyboard.press('Enter');
    for (const [button, state] of [
      ['Unload', 'Out of service'],
      ['Load', 'In service'],
    ] as const) {
      await page.getByRole('button', { name: `${button}: one` }).click();
      await page.getByRole('dialog').getByText(`${button} the model one`).waitFor();
      await forgetSteps(test);
      await page.locator('.code-input').fill(code());
      await page.keyboard.press('Enter');
      await page.locator('.model', { hasText: 'one' }).getByText(state).waitFor();
    }

    // The thief has the cookie, on another machine, and neither the telephone nor the password.
    const cookies = await page.context().cookies();
    const { value = '' } = cookies.find(({ name }) => name === '__Host-strongroom') ?? {};
    const bearer = { authorization: `Bearer ${value}` };
    assert.equal((await test.client.get('/admin/users', bearer)).status, 200, 'it is good');
    const thief = { token: value, subject: '', bearer, cookie: {}, username: 'mei.lin', password: '', secret: null };
    const [victim] = await test.database.sql<{ id: string }>("SELECT id FROM account WHERE username = 'analyst'");
    await placeNamed(test);
    const table = await routeTable(test, (id) =>
      id.startsWith('admin.users') ? victim?.id : id.includes('model') ? 'one' : undefined,
    );
    const changes = table.filter(({ method, path }) => method !== 'GET' && path.startsWith('/admin/'));
    assert.ok(changes.length >= 9);
    const state = () =>
      test.database.sql(
        `SELECT (SELECT json_agg(a ORDER BY a.id) FROM account a)::text AS accounts, (SELECT json_agg(m) FROM model_state m)::text
           AS models, (SELECT count(*) FROM enrolment)::int AS links, (SELECT count(*) FROM passkey)::int AS passkeys`,
      );
    const before = await state();
    for (const change of changes) {
      const { challenge } = await challengeFor(test, thief, change);
      const guess = await test.client.post('/auth/step-up', { challenge, code: '000000' }, bearer);
      assert.ok(guess.status >= 400, change.id);
      const options = {
        headers: { ...bearer, 'step-up-proof': challenge },
        ...(change.body ? { body: change.body } : {}),
      };
      assert.equal(
        (await test.client.request(change.method, change.path, options)).code,
        'step_up_required',
        change.id,
      );
    }
    // Nor does it get a factor of its own by which it could.
    for (const path of ['/auth/totp/enrol', '/auth/webauthn/register/options', '/auth/keys'])
      assert.ok((await test.client.post(path, { name: 'x', password: PASSWORD }, bearer)).status >= 400, path);
    assert.deepEqual(await state(), before);
    await leave();
  });

  it('an analyst signs in with a click, and out again', async () => {
    await provider.becomes(ANALYST);
    const { page, leave } = await openDesk(browser);
    await page.goto(test.url);
    assert.equal(await page.getByLabel('Username').count(), 0, 'no password where there is none');
    await throughProvider(page);
    await page.locator('.account').getByText('li.wei').waitFor();
    await page.locator('textarea').waitFor();
    await page.goto(`${test.url}/#/security`);
    await page.getByText('Organisation', { exact: true }).waitFor();
    await page.locator('.account').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    await leave();
  });

  it('who has no role here, and a provider that can’t be reached, are told in words of either language', async () => {
    await provider.becomes(GUEST);
    const { page, leave } = await openDesk(browser);
    await page.goto(test.url);
    await throughProvider(page);
    await page.getByRole('alert').getByText('Your organisation’s account may not come in here.').waitFor();
    assert.equal(new URL(page.url()).hash, '', 'told once');
    await page.getByRole('button', { name: '中文' }).click();
    await page.getByRole('alert').getByText('您的单位账号无权进入').waitFor();
    await page.goto(`${test.url}/?again#/sign-in?error=unavailable`);
    await page.getByRole('alert').getByText('无法连接单位的登录服务').waitFor();
    await page.goto(`${test.url}/#/sign-in?error=failed`);
    await page.reload();
    await page.getByRole('link', { name: '使用单位账号登录' }).waitFor();
    await page.goto(`${test.url}/?more#/sign-in?error=<b>`);
    await page.getByRole('alert').getByText('单位账号登录未完成').waitFor();
    await leave();
  });

  it('an admin whose provider asks for one factor sets one up without a password, and shows it at each sign-in', async () => {
    await provider.becomes(CHIEF);
    const { page, leave } = await openDesk(browser);
    const device = await VirtualAuthenticator.plugIn(page);
    await page.goto(test.url);
    await throughProvider(page);
    await page.getByText('Your role needs a second factor before anything else.').waitFor();
    await page.getByRole('link', { name: 'Sign in with your organisation once more' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.locator('.qr').waitFor();
    const code = await telephone(page);
    await page.locator('.code-input').fill(code());
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'I have kept them' }).click();

    await throughProvider(page);
    await page.getByRole('heading', { name: 'One more step' }).waitFor();
    await page.locator('.code-input').fill('000000');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('This code is not right.').waitFor();
    await forgetSteps(test);
    await page.locator('.code-input').fill(code());
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Models' }).waitFor();

    await page.goto(`${test.url}/#/security/passkey`);
    await page.getByLabel('Name').fill('Laptop');
    await page.keyboard.press('Enter');
    await forgetSteps(test);
    await page.getByRole('dialog').locator('.code-input').fill(code());
    await page.keyboard.press('Enter');
    await page.getByText('Your second factor is in force').waitFor();
    assert.equal(await device.credentials(), 1);
    await throughProvider(page);
    await page.getByRole('heading', { name: 'One more step' }).waitFor();
    await page.getByRole('button', { name: 'Use your passkey' }).click();
    await page
      .getByRole('heading', { name: 'Models' })
      .or(page.getByRole('heading', { name: 'Security' }))
      .waitFor();
    await leave();
  });
});
