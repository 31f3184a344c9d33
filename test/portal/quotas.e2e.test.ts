import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE } from '../fakes/portal-server.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** What is left for those who ask, and the limits that an admin sets, in a real browser. */
const desk = useDesk();

test('an analyst sees every quota that holds for him', async () => {
  await desk.signIn('analyst', '/#/quotas');
  const rows = desk.page.locator('tbody tr');
  await rows.first().waitFor();
  const texts = await rows.allTextContents();
  assert.equal(texts.length, 4);
  assert.match(texts[0] ?? '', /^YouRequests per day153/);
  assert.match(texts[3] ?? '', /^Model demo · shared with othersRequests per minute \(dry run\)87/);
});

test('an admin sets a limit with a code of its own, and takes it away with another', async () => {
  await desk.signIn('admin', '/#/quotas');
  await desk.page.getByText('li.wei').waitFor();
  await desk.page.getByLabel('For').fill('department:risk');
  await desk.page.getByLabel('Limit on').selectOption('concurrent');
  await desk.page.getByLabel('Amount').fill('12');
  await desk.page.getByLabel('Dry run').check();
  await desk.page.getByRole('button', { name: 'Set quota' }).click();
  const dialog = desk.page.getByRole('dialog');
  await dialog.getByText('Set the quota of department:risk').waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
  const row = desk.page.locator('tbody tr', { hasText: 'department:risk' });
  await row.waitFor();
  assert.match((await row.textContent()) ?? '', /Requests at a time12 \(dry run\)/);
  await row.getByRole('button').click();
  await dialog.waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
  await row.waitFor({ state: 'detached' });
});

test('a scope that is not there is refused in words, in Chinese as well', async () => {
  await desk.open({ locale: 'zh-CN' });
  await desk.signIn('admin', '/#/quotas');
  await desk.page.getByLabel('适用对象').fill('department:nowhere');
  await desk.page.getByLabel('数量').fill('1');
  await desk.page.getByRole('button', { name: '设置额度' }).click();
  await desk.page.getByRole('alert').waitFor();
});
