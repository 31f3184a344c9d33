import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ALTERED } from '../fakes/portal-log.ts';
import { ENROLMENT_TOKEN } from '../fakes/portal-people.ts';
import { CODE, PASSWORD } from '../fakes/portal-server.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** Keys, the auditor's and the admin's page, languages and sizes, in a real browser. */
const desk = useDesk();

test('a key is made with the password, shown once, and revoked', async () => {
  await desk.signIn('analyst', '/#/keys');
  await desk.page.getByLabel('Name').fill('nightly');
  await desk.page.getByLabel('Your password').fill(PASSWORD);
  await desk.page.getByRole('button', { name: 'Create key' }).click();
  const dialog = desk.page.getByRole('dialog');
  await dialog.getByText(/^sk-sr_/).waitFor();
  await dialog.getByRole('button', { name: 'I have stored it' }).click();
  assert.equal(await desk.page.getByText(/^sk-sr_/).count(), 0);
  await desk.page.getByRole('button', { name: 'Revoke: nightly' }).click();
  await dialog.getByRole('button', { name: 'Revoke' }).click();
  await desk.page.getByRole('button', { name: 'Revoke: nightly' }).waitFor({ state: 'detached' });
});

test('with a second factor the same call is repeated with a proof, after a wrong code too', async () => {
  await desk.signIn('everyone', '/#/keys');
  await desk.page.getByLabel('Name').fill('nightly');
  await desk.page.getByRole('button', { name: 'Create key' }).click();
  const dialog = desk.page.getByRole('dialog');
  await dialog.getByText('Make the API key “nightly” for everyone').waitFor();
  await desk.page.keyboard.type('000000');
  await desk.page.keyboard.press('Enter');
  await dialog.getByRole('alert').waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
  await dialog.getByText(/^sk-sr_/).waitFor();
});

test('a key can be made narrower than its account, and the list says so', async () => {
  await desk.signIn('analyst', '/#/keys');
  await desk.page.getByLabel('Name').fill('nightly');
  await desk.page.getByText('Limits (optional)').click();
  await desk.page.getByLabel('demo').check();
  await desk.page.getByLabel('Read the budget').check();
  await desk.page.getByLabel('Ask models').check();
  await desk.page.getByLabel('Expires after').selectOption('30');
  await desk.page.getByLabel('Your password').fill(PASSWORD);
  const sent = desk.page.waitForRequest((request) => request.method() === 'POST');
  await desk.page.getByRole('button', { name: 'Create key' }).click();
  assert.deepEqual((await sent).postDataJSON(), {
    name: 'nightly',
    password: PASSWORD,
    expires_in_days: 30,
    models: ['demo'],
    actions: ['infer', 'usage.read'],
  });
  await desk.page.getByRole('button', { name: 'I have stored it' }).click();
  const row = await desk.page.locator('.key-row', { hasText: 'nightly' }).locator('dl').textContent();
  assert.match(row ?? '', /ModelsdemoIt mayAsk models, Read the budget$/);
});

test('an auditor searches, opens a record, and sees in his own browser whether it is what was hashed', async () => {
  await desk.signIn('auditor');
  await desk.page.locator('tbody tr').first().waitFor();
  await desk.page.getByRole('button', { name: 'Older records' }).click();
  await desk.page.getByText('100 records').waitFor();
  await desk.page.getByLabel('Outcome').fill('denied');
  await desk.page.getByRole('button', { name: 'Search' }).click();
  await desk.page.locator('.tag', { hasNotText: 'denied' }).first().waitFor({ state: 'detached' });
  assert.deepEqual(new Set(await desk.page.locator('.tag').allTextContents()), new Set(['denied']));
  await desk.page.locator('tbody a').first().click();
  await desk.page.locator('[data-verdict=equal]').getByText('These bytes are what was hashed').waitFor();
  await desk.page.getByRole('button', { name: 'Exact bytes', exact: true }).click();
  assert.match((await desk.page.locator('.code').textContent()) ?? '', /^\{"at":"[^ ]*","event":\{.*"v":1\}$/);
  await desk.page.keyboard.press('Escape');
  await desk.page.getByRole('dialog').waitFor({ state: 'detached' });
  await desk.page.goto(`${desk.base}/#/audit/${ALTERED}`);
  await desk.page.locator('[data-verdict=differs]').getByText('These bytes do not match the leaf').waitFor();
});

test('an admin sees the models, and no page of another role', async () => {
  await desk.signIn('admin');
  const failed = desk.page.locator('.model', { hasText: 'vllm-cluster' });
  await failed.getByText('failed').waitFor();
  await desk.page.locator('.model', { hasText: 'qwen3' }).getByText('8 of 8 busy').waitFor();
  assert.deepEqual(await desk.page.locator('.tabs a').allTextContents(), [
    'Models',
    'Users',
    'All keys',
    'Quotas',
    'Policy',
  ]);
  await desk.page.goto(`${desk.base}/#/audit`);
  await desk.page.getByRole('heading', { name: 'Models' }).waitFor();
});

test('a model is shown on every replica, and those that offer something else are named', async () => {
  desk.server.estate.isAlone = false;
  await desk.signIn('admin');
  const others = desk.page.locator('.model', { hasText: 'qwen3' }).getByRole('list', { name: 'On other replicas' });
  await others.waitFor();
  assert.deepEqual(await others.locator('li').allInnerTexts(), [
    'gw-2.risk\nready\n0 of 8 busy\n19.0 GiB measured',
    'gw-3.risk\nready\n0 of 8 busy\n19.0 GiB measured',
    'gw-4.risk\nruns another release, whose reports this one can’t read',
  ]);
  await desk.page.getByText('Not all replicas offer the same models: gw-3.risk · gw-4.risk.').waitFor();
  await desk.page.getByText('does not offer this model').waitFor();
  await desk.page.getByRole('button', { name: '中文' }).click();
  await desk.page.getByText('各副本提供的模型不一致：gw-3.risk').waitFor();
  await desk.page.getByText('不提供此模型').waitFor();
});

test('a model’s adapter and draft are shown, how good the draft is and why it rests, and both figures of memory', async () => {
  await desk.signIn('admin');
  const letters = desk.page.locator('.model', { hasText: 'demo+letters' });
  await letters.getByText('letters, strength 0.75').waitFor();
  await letters.getByText('0.23 GiB + 2.80 GiB of GPU measured').waitFor();
  await letters.getByText('0.25 GiB + 3.00 GiB of GPU expected').waitFor();
  const crowded = desk.page.locator('.model', { hasText: 'qwen3' });
  await crowded.getByText('off while several are answered').waitFor();
  await crowded.getByText('80% right of 12,480 foreseen').waitFor();
  const slower = desk.page.locator('.model', { hasText: 'mistral-7b' });
  await slower.getByText('off: slower with it').waitFor();
  await slower.getByText('41.3 ms a token with it, 32.5 without').waitFor();
  const demo = desk.page.locator('.model', { hasText: 'demo' }).first();
  assert.equal(await demo.getByText(/Adapter|Draft model/).count(), 0);
  await desk.page.getByRole('button', { name: '中文' }).click();
  await letters.getByText('letters，强度 0.75').waitFor();
  await slower.getByText('已停用：使用后更慢').waitFor();
  await slower.getByText('预测 480 个，命中 44%').waitFor();
});

test('what is loaded to sign in and to ask stays below 30 kB', async (t) => {
  const loaded = new Map<string, Promise<Buffer>>();
  desk.page.on('response', (response) => {
    if (/\.(js|css)$/.test(response.url())) loaded.set(response.url(), response.body());
  });
  await desk.signIn('analyst');
  await desk.page.locator('.welcome').waitFor();
  const sizes = (await Promise.all(loaded.values())).map((body) => gzipSync(body, { level: 9 }).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  t.diagnostic(`${total} bytes gzipped in ${sizes.length} files`);
  assert.ok(sizes.length >= 2 && total <= 30_000, `${total} bytes in ${sizes.length} files`);
});

test('the language follows the browser, changes at once, and is remembered', async () => {
  await desk.open({ locale: 'zh-CN' });
  await desk.signIn('analyst');
  await desk.page.getByRole('heading', { name: '您想了解什么？' }).waitFor();
  assert.equal(await desk.page.locator('html').getAttribute('lang'), 'zh-Hans');
  await desk.page.getByRole('button', { name: 'English' }).click();
  await desk.page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  await desk.page.reload();
  await desk.page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  assert.equal(await desk.page.locator('html').getAttribute('lang'), 'en');
});

test('signing out and a new password both end at the sign-in', async () => {
  await desk.signIn('analyst');
  await desk.page.locator('.account').click();
  await desk.page.getByRole('button', { name: 'Security' }).click();
  await desk.page.getByRole('button', { name: 'Change password' }).click();
  await desk.page.getByLabel('Current password').fill(PASSWORD);
  await desk.page.getByLabel('New password', { exact: true }).fill('a new and longer sentence');
  await desk.page.getByLabel('New password again').fill('a new and longer sentence');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByText('Your password is changed').waitFor();
  await desk.signIn('auditor');
  await desk.page.locator('.account').click();
  await desk.page.getByRole('button', { name: 'Sign out' }).click();
  await desk.page.getByText('You are signed out.').waitFor();
});

for (const locale of ['en-GB', 'zh-CN'])
  test(`nothing overflows at 360 pixels (${locale})`, async () => {
    await desk.open({ locale, width: 360 });
    desk.server.stepMs = 0;
    const overflow = (): Promise<number> => desk.page.evaluate('document.documentElement.scrollWidth - innerWidth');
    await desk.page.goto(`${desk.base}/#/enrol/${ENROLMENT_TOKEN}`);
    await desk.page.locator('.rules').waitFor();
    assert.equal(await overflow(), 0, 'enrol');
    await desk.page.goto('about:blank');
    await desk.page.goto(desk.base);
    await desk.page.getByLabel(/^(Username|用户名)$/).waitFor();
    assert.equal(await overflow(), 0, 'sign in');
    await desk.signIn('everyone');
    await (await desk.ask(`xss ${'x'.repeat(400)}`)).locator('.answer-done').waitFor();
    assert.equal(await overflow(), 0, 'ask');
    for (const [path, ready] of [
      ['keys', '.key-row'],
      ['audit', 'tbody tr'],
      [`audit/${ALTERED}`, '.record'],
      ['models', '.model'],
      ['users', 'tbody tr'],
      ['users/new', '.choices'],
      ['security', '.key-row'],
      ['security/factor', '.factor'],
    ] as const) {
      await desk.page.goto(`${desk.base}/#/${path}`);
      await desk.page.locator(ready).first().waitFor();
      assert.equal(await overflow(), 0, path);
      const inner = await desk.page.evaluate<number>(
        '(() => { const box = document.querySelector("dialog[open]") ?? document.getElementById("main"); return box.scrollWidth - box.clientWidth; })()',
      );
      assert.equal(inner, 0, `${path}, inside`);
    }
  });
