import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { XSS_CORPUS } from '../fakes/portal-answers.ts';
import { ALTERED } from '../fakes/portal-log.ts';
import { CODE, PASSWORD, PortalServer } from '../fakes/portal-server.ts';
import { launchBrowser } from '../harness/browser.ts';

/** The portal in a real browser, under the gateway's Content-Security-Policy, against a fake of the gateway. */
let browser: Browser;
let server: PortalServer;
let base: string;
let context: BrowserContext;
let page: Page;
let faults: string[];

before(async () => {
  browser = await launchBrowser();
});
after(() => browser.close());

beforeEach(async () => {
  server = new PortalServer();
  base = await server.listen();
  await open({});
});
afterEach(async () => {
  await context.close();
  await server.close();
  assert.deepEqual(faults, [], 'nothing was blocked, nothing threw, nothing left the origin');
});

async function open(options: { readonly locale?: string; readonly width?: number }): Promise<void> {
  await context?.close();
  faults = [];
  context = await browser.newContext({
    locale: options.locale ?? 'en-GB',
    viewport: { width: options.width ?? 1280, height: 800 },
  });
  context.setDefaultTimeout(5_000);
  page = await context.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // The browser itself logs each answer of 400 and above; those are part of what is tried here.
    const expected = message.text().startsWith('Failed to load resource: the server responded');
    if (message.type() === 'error' && !expected) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(base)) faults.push(`left the origin: ${request.url()}`);
  });
  await page.exposeFunction('reportViolation', (directive: string) => faults.push(`CSP: ${directive}`));
  await page.addInitScript({
    content: 'addEventListener("securitypolicyviolation", (event) => reportViolation(event.violatedDirective));',
  });
}

async function signIn(username: string, path = '/'): Promise<void> {
  await page.goto(base + path);
  await page.getByLabel(/^(Username|用户名)$/).fill(username);
  await page.getByLabel(/^(Password|密码)$/).fill(PASSWORD);
  await page.keyboard.press('Enter');
  if (username === 'admin' || username === 'everyone') {
    await page.locator('.code-input').fill(CODE);
    await page.keyboard.press('Enter');
  }
  await page.locator('.top').waitFor();
}

async function ask(question: string): Promise<Locator> {
  await page.locator('textarea').fill(question);
  await page.keyboard.press('Enter');
  return page.locator('.turn').last();
}

test('a wrong password is refused in words; the code is asked where the account has one, and has the focus', async () => {
  await page.goto(base);
  await page.getByLabel('Username').fill('admin');
  await page.getByLabel('Password', { exact: true }).fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('Username, password or code is not right.').waitFor();
  assert.equal(await page.locator('.code-input').count(), 0);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('.code-input:focus').waitFor();
  await page.keyboard.type(CODE);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Models' }).waitFor();
  const kept = await page.evaluate('JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])');
  assert.equal(kept, '[{},{},""]', 'no script can see a token');
});

test('an answer grows word by word, and ends with its tokens, its request id and a smaller budget', async () => {
  await signIn('analyst');
  await page.getByText('847 of 1,000').waitFor();
  const turn = await ask('What is a liquidity coverage ratio?');
  const prose = turn.locator('.answer .prose');
  await prose.waitFor();
  const lengths = new Set<number>();
  while ((await turn.locator('.answer-done').count()) === 0) lengths.add((await prose.textContent())?.length ?? 0);
  assert.ok(lengths.size >= 2, `seen at ${lengths.size} lengths`);
  assert.match((await prose.textContent()) ?? '', /^A liquidity.*tense\.$/s);
  const foot = await turn.locator('.turn-foot').textContent();
  assert.match(foot ?? '', /On the audit record\.24 tokens in, \d+ outreq_[0-9a-f]{32}/);
  await page.getByText('846 of 1,000').waitFor();
});

test('Shift+Enter and an Enter that ends a composition do not send', async () => {
  await signIn('analyst');
  const box = page.locator('textarea');
  await box.fill('你');
  await box.press('Shift+Enter');
  await box.dispatchEvent('keydown', { key: 'Enter', isComposing: true });
  await box.dispatchEvent('keydown', { key: 'Enter', keyCode: 229 });
  assert.equal(await page.locator('.turn').count(), 0);
  assert.equal(await box.inputValue(), '你\n');
});

test('Stop hangs up, keeps what was read, and says that the record says so', async () => {
  server.stepMs = 40;
  await signIn('analyst');
  const turn = await ask('a long answer');
  await turn.locator('.answer .prose').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await turn.getByText('You stopped this answer. The audit record says so.').waitFor();
  const read = await turn.locator('.answer .prose').textContent();
  await page.waitForTimeout(200);
  assert.equal(await turn.locator('.answer .prose').textContent(), read);
  assert.equal(server.hangUps, 1);
});

test('an answer without [DONE], or with an error, is marked as not to be relied on', async () => {
  server.stepMs = 2;
  await signIn('analyst');
  await (await ask('please cut')).getByText('Incomplete and not confirmed on the record.').waitFor();
  const failed = await ask('please error');
  await failed.getByText('Incomplete and not confirmed on the record.').waitFor();
  await failed.getByText('The model failed. Your request was recorded.').waitFor();
  await failed.getByRole('button', { name: 'Try again' }).waitFor();
});

test('the reader who scrolls up stays where he reads, and comes back by one button', async () => {
  server.stepMs = 4;
  await signIn('analyst');
  const turn = await ask('a long answer');
  await page.waitForFunction('document.querySelector(".thread")?.scrollTop > 150');
  await page.locator('.thread').hover();
  await page.mouse.wheel(0, -120);
  const latest = page.getByRole('button', { name: 'Latest' });
  await latest.waitFor();
  const top = await page.locator('.thread').evaluate((element) => element.scrollTop);
  await turn.locator('.answer-done, .answer-streaming').waitFor();
  await page.waitForTimeout(250);
  assert.equal(await page.locator('.thread').evaluate((element) => element.scrollTop), top);
  await latest.click();
  await latest.waitFor({ state: 'detached' });
});

test('model output is text and nothing else, whatever it says', async () => {
  server.stepMs = 0;
  await signIn('analyst');
  const turn = await ask('xss');
  await turn.locator('.answer-done').waitFor();
  const prose = turn.locator('.answer .prose');
  assert.equal(await prose.textContent(), XSS_CORPUS.join('\n'));
  assert.equal(await prose.locator('*').count(), 0);
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate('String(globalThis.pwned)'), 'undefined');
});

test('while the audit log can’t be written a banner says so, until something runs again', async () => {
  server.stepMs = 0;
  await signIn('analyst');
  server.faults.auditDown = true;
  const turn = await ask('anything');
  await turn.getByText('The audit log can’t be written, so nothing was run. Try again in 5 seconds.').waitFor();
  await page.locator('.banner').getByText('Nothing runs while the audit log can’t be written.').waitFor();
  server.faults.auditDown = false;
  await turn.getByRole('button', { name: 'Try again' }).click();
  await turn.locator('.answer-done').waitFor();
  assert.equal(await page.locator('.banner').count(), 0);
});

test('a used-up budget says when to come back', async () => {
  await signIn('analyst');
  server.faults.quotaGone = true;
  await (await ask('anything')).getByText('Your budget for today is used up. Try again in 6 hours.').waitFor();
});

test('a session that has ended leads back to the sign-in, with a notice', async () => {
  await signIn('analyst');
  server.endSessions();
  await ask('anything');
  await page.getByText('Your session has ended. Please sign in again.').waitFor();
});

test('a key is made with the password, shown once, and revoked', async () => {
  await signIn('analyst', '/#/keys');
  await page.getByLabel('Name').fill('nightly');
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(/^sk-sr_/).waitFor();
  await dialog.getByRole('button', { name: 'I have stored it' }).click();
  assert.equal(await page.getByText(/^sk-sr_/).count(), 0);
  await page.getByRole('button', { name: 'Revoke: nightly' }).click();
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke: nightly' }).waitFor({ state: 'detached' });
});

test('with a second factor the same call is repeated with a proof, after a wrong code too', async () => {
  await signIn('everyone', '/#/keys');
  await page.getByLabel('Name').fill('nightly');
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Make the API key “nightly” for everyone').waitFor();
  await page.keyboard.type('000000');
  await page.keyboard.press('Enter');
  await dialog.getByRole('alert').waitFor();
  await page.locator('.code-input').fill(CODE);
  await page.keyboard.press('Enter');
  await dialog.getByText(/^sk-sr_/).waitFor();
});

test('an auditor searches, opens a record, and sees in his own browser whether it is what was hashed', async () => {
  await signIn('auditor');
  await page.locator('tbody tr').first().waitFor();
  await page.getByRole('button', { name: 'Older records' }).click();
  await page.getByText('100 records').waitFor();
  await page.getByLabel('Outcome').fill('denied');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.waitForFunction('[...document.querySelectorAll(".tag")].every((tag) => tag.textContent === "denied")');
  await page.locator('tbody a').first().click();
  await page.locator('[data-verdict=equal]').getByText('These bytes are what was hashed').waitFor();
  await page.getByRole('button', { name: 'Exact bytes', exact: true }).click();
  assert.match((await page.locator('.code').textContent()) ?? '', /^\{"at":"[^ ]*","event":\{.*"v":1\}$/);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.goto(`${base}/#/audit/${ALTERED}`);
  await page.locator('[data-verdict=differs]').getByText('These bytes do not match the leaf').waitFor();
});

test('an admin sees the models, and no page of another role', async () => {
  await signIn('admin');
  const failed = page.locator('.model', { hasText: 'vllm-cluster' });
  await failed.getByText('failed').waitFor();
  await page.locator('.model', { hasText: 'qwen3' }).getByText('8 of 8 busy').waitFor();
  assert.deepEqual(await page.locator('.tabs a').allTextContents(), ['Models']);
  await page.goto(`${base}/#/audit`);
  await page.getByRole('heading', { name: 'Models' }).waitFor();
});

test('the language follows the browser, changes at once, and is remembered', async () => {
  await open({ locale: 'zh-CN' });
  await signIn('analyst');
  await page.getByRole('heading', { name: '您想了解什么？' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-Hans');
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
});

test('signing out and a new password both end at the sign-in', async () => {
  await signIn('analyst');
  await page.locator('.account').click();
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.getByLabel('Current password').fill(PASSWORD);
  await page.getByLabel('New password', { exact: true }).fill('a new and longer sentence');
  await page.getByLabel('New password again').fill('a new and longer sentence');
  await page.keyboard.press('Enter');
  await page.getByText('Your password is changed').waitFor();
  await signIn('analyst');
  await page.locator('.account').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out.').waitFor();
});

for (const locale of ['en-GB', 'zh-CN'])
  test(`nothing overflows at 360 pixels (${locale})`, async () => {
    await open({ locale, width: 360 });
    server.stepMs = 0;
    const overflow = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth - innerWidth');
    await page.goto(base);
    await page.locator('form').waitFor();
    assert.equal(await overflow(), 0, 'sign in');
    await signIn('everyone');
    await (await ask(`xss ${'x'.repeat(400)}`)).locator('.answer-done').waitFor();
    assert.equal(await overflow(), 0, 'ask');
    for (const [path, ready] of [
      ['keys', '.key-row'],
      ['audit', 'tbody tr'],
      [`audit/${ALTERED}`, '.record'],
      ['models', '.model'],
    ] as const) {
      await page.goto(`${base}/#/${path}`);
      await page.locator(ready).first().waitFor();
      assert.equal(await overflow(), 0, path);
      const inner = await page.evaluate<number>(
        '(() => { const box = document.querySelector("dialog[open]") ?? document.getElementById("main"); return box.scrollWidth - box.clientWidth; })()',
      );
      assert.equal(inner, 0, `${path}, inside`);
    }
  });
