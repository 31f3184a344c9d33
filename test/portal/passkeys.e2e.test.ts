import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { TestGateway } from '../harness/gateway.ts';
import { browserOf, type Desk, openDesk, VirtualAuthenticator } from '../harness/gateway-browser.ts';
import { codeOf, firstAdmin, forgetGuesses, forgetSteps, invite, PASSWORD } from '../identity/people.ts';

/** Passkeys on a real gateway, in a real browser, with Chromium's virtual authenticator. */
describe('passkeys in the portal', () => {
  let test: TestGateway;
  let browser: Browser;
  let secret: string;

  before(async () => {
    test = await TestGateway.open({ models: { one: { upstream: { url: 'http://127.0.0.1:9', model: 'none' } } } });
    browser = await browserOf(test);
    secret = test.account('admin').totpSecret ?? '';
  });
  after(async () => {
    await browser.close();
    await test[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(test);
    await forgetSteps(test);
  });

  const enter = async (page: Page, username: string, password: string) => {
    await page.getByLabel('Username').fill(username);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.keyboard.press('Enter');
  };
  const code = async (page: Page) => {
    await forgetSteps(test);
    await page.locator('.code-input').fill(codeOf(secret));
    await page.keyboard.press('Enter');
  };
  const usePasskey = (page: Page) => page.getByRole('button', { name: 'Use your passkey' }).click();
  const signOut = async (page: Page) => {
    await page.locator('.account').click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
  };
  /** At the width of a telephone nothing is cut off, and every control has a name. */
  const fits = async (page: Page, what: string) => {
    await page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0, what);
    const nameless =
      await page.evaluate(`[...document.querySelectorAll('button, a, input:not([type=hidden])')].filter((one) =>
      !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)`);
    assert.deepEqual(nameless, [], what);
    await page.setViewportSize({ width: 1280, height: 800 });
  };
  const records = (action: string) =>
    test.database.sql<{ record: string }>("SELECT record FROM entry WHERE action = $1 AND outcome = 'completed'", [
      action,
    ]);
  const dialog = (page: Page) => page.getByRole('dialog');

  it('an admin registers one beside his app, signs out, signs in and loads a model with it', async () => {
    const { page, leave } = await openDesk(browser);
    const device = await VirtualAuthenticator.plugIn(page);
    const { username, password } = test.account('admin');
    await page.goto(`${test.url}/#/security`);
    await enter(page, username, password);
    await code(page);
    await page.getByRole('link', { name: 'Add a passkey' }).click();
    await page.getByLabel('Name').fill('Laptop');
    await page.keyboard.press('Enter');
    await dialog(page).getByText('Register a passkey for admin').waitFor();
    await code(page);
    // The first run gives its admin none: these are his first.
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await page.getByText('Your second factor is in force and every session has ended. Sign in with it.').waitFor();
    assert.equal(await device.credentials(), 1);

    await enter(page, username, password);
    await page.locator('.button-main:focus').getByText('Use your passkey').waitFor();
    await usePasskey(page);
    await page.getByRole('heading', { name: 'Security' }).waitFor();
    await page.getByText('Password + Passkey').waitFor();
    const row = page.locator('.key-row', { hasText: 'Laptop' });
    await row.getByText('Last used').waitFor();

    await page.goto(`${test.url}/#/models`);
    await page.getByRole('button', { name: 'Unload: one' }).click();
    await dialog(page).getByText('Unload the model one').waitFor();
    await usePasskey(page);
    await page.getByText('Out of service').waitFor();
    await page.getByRole('button', { name: 'Load: one' }).click();
    await dialog(page).getByText('Load the model one').waitFor();
    await usePasskey(page);
    await page.locator('.model', { hasText: 'one' }).getByText('In service').waitFor();
    const proofs = (await records('step_up.prove')).map(({ record }) => JSON.parse(record).event);
    assert.equal(proofs.filter(({ factor }) => factor === 'passkey').length, 2);

    // Either factor does.
    await signOut(page);
    await enter(page, username, password);
    await page.getByRole('button', { name: 'Use your passkey' }).waitFor();
    await code(page);
    await page.getByRole('heading', { name: 'Models' }).waitFor();
    await leave();
  });

  it('an invited admin chooses a passkey as his only factor, and keeps it', async () => {
    const { link } = await invite(test, await firstAdmin(test), { username: 'mei.lin', roles: ['admin'] });
    const { page, leave } = await openDesk(browser);
    const device = await VirtualAuthenticator.plugIn(page);
    await page.goto(`${test.url}/#/enrol/${link}`);
    await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('New password again').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByText('Your password is set.').waitFor();
    await enter(page, 'mei.lin', PASSWORD);
    await page.getByText('Your role needs a second factor before anything else.').waitFor();
    await page.getByLabel(/^Passkey or security key/).check();
    await fits(page, 'the choice');
    await page.getByLabel('Name').fill('Blue key');
    await page.getByLabel('Current password').fill('not this one at all');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('is not right').waitFor();
    await page.getByLabel('Current password').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Recovery codes' }).waitFor();
    const codes = await page.locator('.codes code').allTextContents();
    assert.equal(codes.length, 10);
    await page.getByRole('button', { name: 'I have kept them' }).click();

    // Whoever is not verified is nobody, and may try again.
    await enter(page, 'mei.lin', PASSWORD);
    await page.getByRole('button', { name: 'Use your passkey' }).waitFor();
    await fits(page, 'sign-in');
    await device.verifies(false);
    await usePasskey(page);
    await page.getByRole('alert').getByText('No passkey has answered.').waitFor();
    await device.verifies(true);
    await usePasskey(page);
    await page.getByRole('heading', { name: 'Models' }).waitFor();

    await page.goto(`${test.url}/#/security`);
    await page.getByRole('button', { name: 'Rename: Blue key' }).click();
    await dialog(page).getByLabel('Name').fill('Green key');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Remove: Green key' }).click();
    await dialog(page).getByText('Remove the passkey “Green key” of mei.lin').waitFor();
    assert.equal(await page.locator('.code-input').count(), 0, 'there is no app to ask');
    await fits(page, 'step-up');
    await usePasskey(page);
    await page.getByRole('alert').getByText('Your role needs a second factor.').waitFor();

    // The browser knows that it has one already.
    await page.getByRole('link', { name: 'Add a passkey' }).click();
    await page.getByLabel('Name', { exact: true }).fill('The same');
    await page.keyboard.press('Enter');
    await usePasskey(page);
    await page.getByRole('alert').getByText('This device holds a passkey of yours already.').waitFor();

    await signOut(page);
    await enter(page, 'mei.lin', PASSWORD);
    await page.getByRole('button', { name: 'Use a recovery code' }).click();
    await page.locator('.code-input').fill(codes[0] ?? '');
    await page.keyboard.press('Enter');
    await page.locator('.top').waitFor();
    await leave();
  });

  it('who need not have one removes it, and signs in with the password again', async () => {
    const { link } = await invite(test, await firstAdmin(test), { username: 'jo.park', roles: ['analyst'] });
    await test.client.post('/auth/enrol', { token: link, password: PASSWORD });
    const desk: Desk = await openDesk(browser, 'zh-CN');
    const { page } = desk;
    await VirtualAuthenticator.plugIn(page);
    const password = async () => {
      await page.getByLabel('用户名').fill('jo.park');
      await page.getByLabel('密码', { exact: true }).fill(PASSWORD);
      await page.keyboard.press('Enter');
    };
    await page.goto(`${test.url}/#/security/factor`);
    await password();
    await page.getByLabel(/^通行密钥或安全密钥/).check();
    await page.getByLabel('名称').fill('笔记本电脑');
    await page.getByLabel('当前密码').fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: '我已妥善保存' }).click();
    await page.goto(`${test.url}/#/security`);
    await password();
    await page.getByRole('button', { name: '使用通行密钥' }).click();
    await page.getByRole('button', { name: '移除: 笔记本电脑' }).waitFor();
    await fits(page, 'one’s own page');
    await page.getByRole('button', { name: '移除: 笔记本电脑' }).click();
    await page.getByRole('button', { name: '使用通行密钥' }).click();
    await page.getByText('通行密钥已移除').waitFor();
    await password();
    await page.getByText('未设置', { exact: true }).waitFor();
    await desk.leave();
  });
});
