import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, USED_CODE } from '../fakes/portal-call.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** What administrators change, each time with a code of its own, in a real browser. */
const desk = useDesk();
const dialog = () => desk.page.getByRole('dialog').last();

/** The dialog names the operation; a code confirms it. */
async function confirm(operation: string, code = CODE): Promise<void> {
  await dialog().getByText(operation, { exact: true }).waitFor();
  await desk.page.locator('.code-input').fill(code);
  await desk.page.keyboard.press('Enter');
}

test('a user is made, the link is shown once, and opens the enrolment', async () => {
  await desk.signIn('admin', '/#/users');
  await desk.page.getByRole('link', { name: 'New user' }).click();
  await desk.page.locator('.modal input:focus').waitFor();
  await desk.page.keyboard.type('mei.chen');
  await dialog().getByLabel('Auditor').check();
  await dialog().getByLabel('Department').fill('risk');
  await dialog().getByLabel('Clearance').selectOption('3');
  await dialog().getByRole('button', { name: 'Create and get link' }).click();
  await confirm('Make the account mei.chen with the roles analyst, auditor');
  await dialog().getByText('Enrolment link for mei.chen').waitFor();
  const link = (await dialog().locator('.secret').textContent()) ?? '';
  assert.match(link, /\/#\/enrol\/sre_[\w-]{43}$/);
  await dialog()
    .getByText(/^Works once, until 20\d\d-\d\d-\d\d \d\d:\d\d\.$/)
    .waitFor();
  await dialog().getByRole('button', { name: 'I have passed it on' }).click();
  const row = desk.page.locator('tbody tr', { hasText: 'mei.chen' });
  await row.getByText('invited').waitFor();
  assert.equal(await desk.page.locator('.secret').count(), 0);
  await desk.page.goto(link);
  await desk.page.getByRole('heading', { name: 'Welcome' }).waitFor();
});

test('a name that is taken is refused in words, and what was typed stays', async () => {
  await desk.signIn('admin', '/#/users/new');
  await dialog().getByLabel('Username').fill('analyst');
  await desk.page.keyboard.press('Enter');
  await confirm('Make the account analyst with the roles analyst');
  await dialog().getByText('This username is taken.').waitFor();
  assert.equal(await dialog().getByLabel('Username').inputValue(), 'analyst');
});

test('only what was changed is sent, with the proof of that very call', async () => {
  await desk.signIn('admin', '/#/users');
  await desk.page.getByLabel('Find').fill('bern');
  await desk.page.locator('tbody tr').nth(1).waitFor({ state: 'detached' });
  await desk.page.getByRole('link', { name: 'auditor' }).focus();
  await desk.page.keyboard.press('Enter');
  const save = dialog().getByRole('button', { name: 'Save changes' });
  assert.equal(await save.isDisabled(), true);
  await dialog().getByLabel('Clearance').selectOption('4');
  const sent: (string | null)[] = [];
  desk.page.on('request', (request) => {
    if (request.method() === 'PATCH') sent.push(request.postData());
  });
  await save.click();
  await confirm('Change clearance of the account auditor');
  await dialog().getByText('Saved. The sessions of this account have ended.').waitFor();
  assert.deepEqual(sent, ['{"clearance":4}', '{"clearance":4}']);
  await desk.page.keyboard.press('Escape');
  await desk.page.locator('tbody td[data-label=Clearance]', { hasText: '4' }).waitFor();
});

test('an account is disabled, enabled and reset; a wrong or used code does nothing', async () => {
  await desk.signIn('admin', '/#/users');
  await desk.page.locator('tbody tr', { hasText: 'analyst' }).first().click();
  await dialog().getByRole('button', { name: 'Disable' }).click();
  await confirm('Disable the account analyst', '000000');
  await dialog().getByText('This code is not right.').waitFor();
  await desk.page.locator('.code-input').fill(USED_CODE);
  await desk.page.keyboard.press('Enter');
  await dialog().getByText('This code has been used.').waitFor();
  await desk.page.keyboard.press('Escape');
  await desk.page.locator('.fields').getByText('active').waitFor();
  await dialog().getByRole('button', { name: 'Disable' }).click();
  await confirm('Disable the account analyst');
  await desk.page.locator('.fields').getByText('disabled').waitFor();
  assert.equal(await dialog().getByRole('button', { name: 'New link' }).isDisabled(), true);
  await dialog().getByRole('button', { name: 'Enable' }).click();
  await confirm('Enable the account analyst');
  await desk.page.locator('.fields').getByText('active').waitFor();
  await dialog().getByRole('button', { name: 'New link' }).click();
  await confirm('Reset password and second factor of the account analyst');
  await dialog().getByText('Enrolment link for analyst').waitFor();
});

test('who was disabled is erased for good, and leaves the list', async () => {
  await desk.signIn('admin', '/#/users');
  await desk.page.getByRole('link', { name: 'auditor' }).click();
  await dialog().getByText('active').waitFor();
  assert.equal(await dialog().getByRole('button', { name: 'Erase' }).count(), 0);
  await dialog().getByRole('button', { name: 'Disable' }).click();
  await confirm('Disable the account auditor');
  await dialog().getByText('What was done stays in the log, under the ID alone.').waitFor();
  await dialog().getByRole('button', { name: 'Erase' }).click();
  await confirm('Erase the account auditor for good');
  await desk.page.getByRole('dialog').first().waitFor({ state: 'detached' });
  await desk.page.getByRole('link', { name: 'auditor' }).waitFor({ state: 'detached' });
  await desk.page.getByRole('link', { name: 'admin' }).waitFor();
});

test('an admin can’t disable himself, and is told why', async () => {
  await desk.signIn('admin', '/#/users');
  await desk.page.getByRole('link', { name: 'admin' }).click();
  await dialog().getByRole('button', { name: 'Disable' }).click();
  await confirm('Disable the account admin');
  await dialog().getByText('You can’t disable your own account.').waitFor();
});

test('a model is loaded with a code, and its state is followed until it is ready; then unloaded and pinned', async () => {
  desk.server.estate.moveMs = 1200;
  await desk.signIn('admin');
  await desk.page.getByText('NVIDIA H200: 70.2 GiB of 140 GiB of memory taken', { exact: true }).waitFor();
  // What is in use there nobody tells.
  await desk.page.getByText('NVIDIA H200 MIG 1g.18gb: 16.0 GiB', { exact: true }).waitFor();
  const card = desk.page.locator('.model', { hasText: 'glm-4-9b' });
  await card.getByText('Out of service').waitFor();
  await card.getByRole('button', { name: 'Load: glm-4-9b' }).click();
  await dialog().getByText('Load the model glm-4-9b', { exact: true }).waitFor();
  await desk.page.keyboard.press('Escape');
  await desk.page.getByRole('dialog').waitFor({ state: 'detached' });
  await card.getByText('Out of service').waitFor();
  await card.getByRole('button', { name: 'Load: glm-4-9b' }).focus();
  await desk.page.keyboard.press('Enter');
  await confirm('Load the model glm-4-9b');
  await card.getByText('loading').waitFor();
  await card.getByText('ready').waitFor();
  await card.getByText('In service').waitFor();
  await card.getByRole('button', { name: 'Pin: glm-4-9b' }).click();
  await confirm('Pin the model glm-4-9b');
  await card.getByText('pinned: stays in memory').waitFor();
  await card.getByRole('button', { name: 'Unload: glm-4-9b' }).click();
  await confirm('Unload the model glm-4-9b');
  await card.getByText('unloading').waitFor();
  await card.getByText('not loaded').waitFor();
});
