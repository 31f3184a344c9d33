import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, USED_CODE } from '../fakes/portal-call.ts';
import { ENROLMENT_TOKEN, PASSWORD, RECOVERY_CODE, SECRET } from '../fakes/portal-people.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** Enrolling, second factors, recovery codes and sessions, in a real browser. */
const desk = useDesk();
const SENTENCE = 'a long and good sentence';

async function password(name: string, text: string): Promise<void> {
  await desk.page.getByLabel(name, { exact: true }).fill(text);
}

test('an invited administrator chooses a password, sets a factor up, keeps the codes, and signs in with one', async () => {
  await desk.page.goto(`${desk.base}/#/enrol/${ENROLMENT_TOKEN}`);
  await desk.page.getByRole('heading', { name: 'Welcome' }).waitFor();
  assert.equal(desk.page.url(), `${desk.base}/`, 'the token is out of the address bar');
  await desk.page.locator('input:focus').waitFor();
  await desk.page.keyboard.type('far too short');
  await password('New password again', 'far too long');
  await desk.page.getByText('The two new passwords are not the same.').waitFor();
  await password('New password again', 'far too short');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('alert').getByText('A password has 15 to 128 characters.').waitFor();
  await password('New password', SENTENCE);
  await password('New password again', SENTENCE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByText('Your password is set. Sign in with it; then you set up your second factor.').waitFor();
  assert.equal(await desk.page.getByLabel('Username').inputValue(), 'newcomer');
  await desk.page.locator('input[type=password]:focus').waitFor();
  await desk.page.keyboard.type(SENTENCE);
  await desk.page.keyboard.press('Enter');

  await desk.page.getByText('Your role needs a second factor before anything else.').waitFor();
  assert.equal(await desk.page.locator('.tabs').count(), 0);
  await desk.page.goto(`${desk.base}/#/users`);
  assert.equal(await desk.page.getByRole('heading', { level: 1 }).textContent(), 'Set up second factor');
  await desk.page.locator('.account').click();
  assert.deepEqual(await desk.page.locator('.menu button').allTextContents(), ['Sign out']);
  await desk.page.keyboard.press('Escape');
  await password('Current password', SENTENCE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('img', { name: 'QR code for the authenticator app' }).waitFor();
  assert.deepEqual(await desk.page.locator('.factor-secret span').allTextContents(), SECRET.match(/.{4}/g));
  await desk.page.locator('.code-input:focus').waitFor();
  await desk.page.keyboard.type('000000');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('alert').getByText('This code is not right.').waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');

  await desk.page.getByRole('heading', { name: 'Recovery codes' }).waitFor();
  const codes = await desk.page.locator('.codes code').allTextContents();
  assert.equal(codes.length, 10);
  assert.equal(codes[0], RECOVERY_CODE);
  const download = desk.page.waitForEvent('download');
  await desk.page.getByRole('link', { name: 'Download' }).click();
  const file = await download;
  assert.equal(file.suggestedFilename(), 'strongroom-recovery-newcomer.txt');
  const text = Buffer.concat(await (await file.createReadStream()).toArray()).toString();
  assert.match(text, /^Strongroom recovery codes for newcomer at localhost/);
  assert.deepEqual(text.trim().split('\n').slice(-10), codes);
  await desk.page.getByRole('button', { name: 'I have kept them' }).click();
  await desk.page.getByText('Your second factor is in force and every session has ended.').waitFor();
  assert.equal(await desk.page.locator('.codes').count(), 0);

  await password('Password', SENTENCE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('button', { name: 'Use a recovery code' }).click();
  await desk.page.locator('.code-input:focus').waitFor();
  await desk.page.keyboard.type(RECOVERY_CODE.toUpperCase().replaceAll('-', ' '));
  assert.equal(await desk.page.getByLabel('Recovery code').inputValue(), RECOVERY_CODE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('heading', { name: 'Users' }).waitFor();
});

test('a link that is cut or spent says so, and leads to the sign-in', async () => {
  await desk.page.goto(`${desk.base}/#/enrol/sre_short`);
  await desk.page.getByRole('alert').getByText('This link is not complete.').waitFor();
  await desk.page.goto(`${desk.base}/#/enrol/sre_${'o'.repeat(43)}`);
  await password('New password', SENTENCE);
  await password('New password again', SENTENCE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('alert').getByText('This link has been used or is over.').waitFor();
  await desk.page.getByRole('button', { name: 'To the sign-in' }).click();
  await desk.page.getByLabel('Username').waitFor();
});

test('a link that is opened where somebody else is signed in signs him out', async () => {
  await desk.signIn('analyst');
  await desk.page.goto(`${desk.base}/#/enrol/${ENROLMENT_TOKEN}`);
  await password('New password', SENTENCE);
  await password('New password again', SENTENCE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByText('Your password is set.').waitFor();
  await desk.page.reload();
  await desk.page.getByLabel('Username').waitFor();
});

test('at the sign-in a used code and a locked account say when to come back', async () => {
  await desk.page.goto(desk.base);
  await desk.page.getByLabel('Username').fill('admin');
  await password('Password', PASSWORD);
  await desk.page.keyboard.press('Enter');
  await desk.page.locator('.code-input').fill(USED_CODE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByText('This code has been used. Wait for the next one. Try again in 17 seconds.').waitFor();
  // Either sort of code is taken without a word about which it is.
  await desk.page.locator('.code-input').fill(RECOVERY_CODE);
  assert.equal(await desk.page.locator('.code-input').inputValue(), RECOVERY_CODE);
  await desk.page.getByLabel('Username').fill('locked');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByText('The account is locked for a while. Try again in 14 minutes.').waitFor();
});

test('a factor is replaced only after a code of the present one; a used code is not a wrong one', async () => {
  await desk.signIn('everyone', '/#/security');
  await desk.page.getByRole('link', { name: 'Replace second factor' }).click();
  await desk.page.getByRole('button', { name: 'Continue' }).click();
  const dialog = desk.page.getByRole('dialog');
  await dialog.getByText('Replace the second factor of everyone').waitFor();
  await desk.page.keyboard.type('000000');
  await desk.page.keyboard.press('Enter');
  await dialog.getByRole('alert').getByText('This code is not right.').waitFor();
  await desk.page.locator('.code-input').fill(USED_CODE);
  await desk.page.keyboard.press('Enter');
  await dialog.getByText('This code has been used. Wait for the next one. Try again in 17 seconds.').waitFor();
  await desk.page.locator('.code-input').fill(CODE);
  await desk.page.keyboard.press('Enter');
  await desk.page.locator('.qr').waitFor();
  await desk.page.getByText('the former authenticator and its recovery codes stop working').waitFor();
  await desk.page.getByRole('link', { name: 'Cancel' }).click();
  await desk.page.getByText('Set up', { exact: true }).waitFor();
});

test('a wrong password does not begin a factor, and says that it is the password', async () => {
  await desk.signIn('analyst', '/#/security/factor');
  await password('Current password', 'not this one at all');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('alert').getByText('The current password is not right.').waitFor();
  assert.equal(await desk.page.locator('.qr').count(), 0);
});

test('one’s own sessions are listed, and another one can be ended', async () => {
  await desk.signIn('analyst', '/#/security');
  await desk.page.locator('.key-row').nth(1).waitFor();
  assert.equal(await desk.page.locator('.key-row b').first().textContent(), 'This session');
  assert.equal(await desk.page.locator('.key-row').first().getByRole('button').count(), 0);
  await desk.page.getByRole('button', { name: /^End: / }).click();
  await desk.page.getByText('Another session').waitFor({ state: 'detached' });
  assert.equal(await desk.page.locator('.key-row').count(), 1);
});
