import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE } from '../fakes/portal-call.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** Keys of service accounts, in a real browser. */
const desk = useDesk();
const dialog = () => desk.page.getByRole('dialog').last();

async function confirm(operation: string): Promise<void> {
  await dialog().getByText(operation, { exact: true }).waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
}

test('an admin makes a key of a service account, sees it once, and revokes it', async () => {
  await desk.signIn('admin', '/#/all-keys');
  const row = (name: string) => desk.page.locator('tbody tr', { hasText: name });
  await row('month-end report').getByText('analyst').waitFor();
  await desk.page.getByLabel('Service account').selectOption({ label: 'batch' });
  await desk.page.getByLabel('Name').fill('nightly');
  await desk.page.getByLabel('Requests a day').fill('500');
  await desk.page.locator('form').getByRole('button', { name: 'Create service key' }).click();
  await confirm('Make the API key “nightly” for the service account batch');
  const key = (await dialog().locator('.secret').textContent()) ?? '';
  assert.match(key, /^srk_[\w-]{43}$/);
  await dialog().getByRole('button', { name: 'I have stored it' }).click();
  assert.equal(await desk.page.locator('.secret').count(), 0);
  await row('nightly').getByText('requests_day 500').waitFor();
  await row('nightly').getByRole('button', { name: 'Revoke' }).click();
  await dialog().getByRole('button', { name: 'Revoke' }).click();
  await confirm('Revoke the API key “nightly” of batch');
  await row('nightly').waitFor({ state: 'detached' });
});

test('it is there for admins alone', async () => {
  await desk.signIn('analyst', '/#/all-keys');
  await desk.page.getByRole('link', { name: 'API keys' }).waitFor();
  assert.equal(await desk.page.getByRole('link', { name: 'All keys' }).count(), 0);
  assert.equal(await desk.page.getByRole('heading', { name: 'All keys' }).count(), 0);
});
