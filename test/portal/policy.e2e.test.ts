import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CODE } from '../fakes/portal-server.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** The admin's page of policies, in a real browser. */
const desk = useDesk();
const POLICY = readFileSync(new URL('../../policies/policy.csv', import.meta.url), 'utf8');

test('versions, what one changed, and the way back with a code', async () => {
  await desk.signIn('admin', '/#/policy');
  const row = desk.page.locator('tr', { hasText: 'hours and zones of the bank' });
  await row.getByText('in force').waitFor();
  await desk.page.getByText('policies/policy.csv on the server is not what is in force').waitFor();
  await row.click();
  const sheet = desk.page.getByRole('dialog');
  await sheet.locator('.policy-changes').getByText('from-the-house').waitFor();
  await sheet.getByRole('button', { name: 'Close' }).click();
  await desk.page.getByRole('link', { name: '1', exact: true }).click();
  await sheet.getByRole('button', { name: 'Put in force again' }).click();
  await desk.page.getByText('Put policy 1 in force again').waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('heading', { name: 'Version 3', exact: true }).waitFor();
  await sheet.getByRole('button', { name: 'Close' }).click();
  await desk.page.locator('tr', { hasText: 'content of 1' }).getByText('in force').waitFor();
});

test('a new version: its faults are named, and a good one takes a code', async () => {
  await desk.signIn('admin', '/#/policy/new');
  const dialog = desk.page.getByRole('dialog').first();
  const confirm = async (): Promise<void> => {
    await dialog.getByRole('button', { name: 'Put in force' }).click();
    await desk.page.locator('.code-input').fill(CODE);
    await desk.page.keyboard.press('Enter');
  };
  await dialog.getByLabel('The whole text').fill(POLICY.replace('role:analyst, catalogue', 'role:boss, catalogue'));
  await confirm();
  await dialog.getByText('no subject “role:boss”').waitFor();
  const file = { name: 'policy.csv', mimeType: 'text/csv', buffer: Buffer.from(`${POLICY}# a remark\n`) };
  await dialog.getByLabel('policy.csv').setInputFiles(file);
  await dialog.getByLabel('Reason').fill('back to the shipped one');
  await confirm();
  await desk.page.getByRole('heading', { name: 'Version 3', exact: true }).waitFor();
  assert.match(desk.page.url(), /#\/policy\/3$/);
});

test('who may do what is explained, in both languages and at every width', async () => {
  for (const [locale, width, button, verdict] of [
    ['en-GB', 1280, 'Explain', 'Denied'],
    ['zh-CN', 390, '解释', '拒绝'],
  ] as const) {
    await desk.open({ locale, width });
    await desk.signIn('admin', '/#/policy');
    await desk.page.getByLabel(/^(User|用户)$/).fill('analyst');
    await desk.page.getByLabel(/^(At|时间)$/).fill('2026-01-07T23:30');
    const asked = desk.page.waitForRequest((request) => request.url().includes('/explain?'));
    await desk.page.getByRole('button', { name: button }).click();
    const query = new URL((await asked).url()).searchParams;
    assert.deepEqual(
      [query.get('user'), query.get('action'), query.get('resource')],
      ['analyst', 'infer', 'model:demo'],
    );
    assert.match(query.get('at') ?? '', /^2026-01-0\dT\d\d:30:00\.000Z$/);
    const answer = desk.page.locator('.policy-answer');
    await answer.getByText(verdict, { exact: true }).waitFor();
    await answer.getByText('office-hours', { exact: true }).waitFor();
    assert.equal(await answer.locator('.unmet').count(), 1);
    const wide = await desk.page.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(wide) <= width, `${wide} px wide`);
  }
});
