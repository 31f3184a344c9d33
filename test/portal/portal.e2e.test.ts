import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XSS_CORPUS } from '../fakes/portal-answers.ts';
import { CODE, PASSWORD } from '../fakes/portal-server.ts';
import { useDesk } from '../harness/portal-desk.ts';

/** Signing in and asking, in a real browser. */
const desk = useDesk();

test('a wrong password is refused in words; the code is asked where the account has one, and has the focus', async () => {
  await desk.page.goto(desk.base);
  await desk.page.getByLabel('Username').fill('admin');
  await desk.page.getByLabel('Password', { exact: true }).fill('wrong');
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('alert').getByText('Username, password or code is not right.').waitFor();
  assert.equal(await desk.page.locator('.code-input').count(), 0);
  await desk.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await desk.page.keyboard.press('Enter');
  await desk.page.locator('.code-input:focus').waitFor();
  await desk.page.keyboard.type(CODE);
  await desk.page.keyboard.press('Enter');
  await desk.page.getByRole('heading', { name: 'Models' }).waitFor();
  const kept = await desk.page.evaluate('JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])');
  assert.equal(kept, '[{},{},""]', 'no script can see a token');
});

test('an answer grows word by word, and ends with its tokens, its request id and a smaller budget', async () => {
  await desk.signIn('analyst');
  await desk.page.getByText('847 of 1,000').waitFor();
  const turn = await desk.ask('What is a liquidity coverage ratio?');
  const prose = turn.locator('.answer .prose');
  await prose.waitFor();
  const lengths = new Set<number>();
  while ((await turn.locator('.answer-done').count()) === 0) lengths.add((await prose.textContent())?.length ?? 0);
  assert.ok(lengths.size >= 2, `seen at ${lengths.size} lengths`);
  assert.match((await prose.textContent()) ?? '', /^A liquidity.*tense\.$/s);
  const foot = await turn.locator('.turn-foot').textContent();
  assert.match(foot ?? '', /On the audit record\.24 tokens in, \d+ outreq_[0-9a-f]{32}/);
  await desk.page.getByText('846 of 1,000').waitFor();
});

test('Shift+Enter and an Enter that ends a composition do not send', async () => {
  await desk.signIn('analyst');
  const box = desk.page.locator('textarea');
  await box.fill('你');
  await box.press('Shift+Enter');
  await box.dispatchEvent('keydown', { key: 'Enter', isComposing: true });
  await box.dispatchEvent('keydown', { key: 'Enter', keyCode: 229 });
  assert.equal(await desk.page.locator('.turn').count(), 0);
  assert.equal(await box.inputValue(), '你\n');
});

test('what a model thought is there to be opened, is no part of its answer, and is not sent along', async () => {
  await desk.signIn('analyst');
  const turn = await desk.ask('think: what is a liquidity coverage ratio?');
  await turn.locator('.answer-done').waitFor();
  const thought = turn.locator('details');
  assert.equal(await thought.locator('p').isVisible(), false);
  await thought.getByText('What it thought').click();
  assert.equal(await thought.locator('p').textContent(), 'First, <b>what is meant</b>? Then the ratio.');
  assert.match((await turn.locator('.answer > .prose').textContent()) ?? '', /^A liquidity coverage ratio asks/);
  const sent = desk.page.waitForRequest((request) => request.method() === 'POST');
  const next = await desk.ask('And why?');
  assert.doesNotMatch((await sent).postData() ?? '', /what is meant/);
  await next.locator('.answer-done').waitFor();
  assert.equal(await next.locator('details').count(), 0);
});

test('Stop hangs up, keeps what was read, and says that the record says so', async () => {
  desk.server.stepMs = 40;
  await desk.signIn('analyst');
  const turn = await desk.ask('a long answer');
  await turn.locator('.answer .prose').waitFor();
  await desk.page.getByRole('button', { name: 'Stop' }).click();
  await turn.getByText('You stopped this answer. The audit record says so.').waitFor();
  const read = await turn.locator('.answer .prose').textContent();
  await desk.page.waitForTimeout(200);
  assert.equal(await turn.locator('.answer .prose').textContent(), read);
  assert.equal(desk.server.hangUps, 1);
});

test('an answer without [DONE], or with an error, is marked as not to be relied on', async () => {
  desk.server.stepMs = 2;
  await desk.signIn('analyst');
  await (await desk.ask('please cut')).getByText('Incomplete and not confirmed on the record.').waitFor();
  const failed = await desk.ask('please error');
  await failed.getByText('Incomplete and not confirmed on the record.').waitFor();
  await failed.getByText('The model failed. Your request was recorded.').waitFor();
  await failed.getByRole('button', { name: 'Try again' }).waitFor();
});

test('the reader who scrolls up stays where he reads, and comes back by one button', async () => {
  desk.server.stepMs = 4;
  await desk.signIn('analyst');
  const turn = await desk.ask('a long answer');
  await desk.page.locator('.thread').evaluate(async (thread) => {
    while (thread.scrollTop < 150) await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await desk.page.locator('.thread').hover();
  await desk.page.mouse.wheel(0, -120);
  const latest = desk.page.getByRole('button', { name: 'Latest' });
  await latest.waitFor();
  const top = await desk.page.locator('.thread').evaluate((element) => element.scrollTop);
  await turn.locator('.answer-done, .answer-streaming').waitFor();
  await desk.page.waitForTimeout(250);
  assert.equal(await desk.page.locator('.thread').evaluate((element) => element.scrollTop), top);
  await latest.click();
  await latest.waitFor({ state: 'detached' });
});

test('model output is text and nothing else, whatever it says', async () => {
  desk.server.stepMs = 0;
  await desk.signIn('analyst');
  const turn = await desk.ask('xss');
  await turn.locator('.answer-done').waitFor();
  const prose = turn.locator('.answer .prose');
  assert.equal(await prose.textContent(), XSS_CORPUS.join('\n'));
  assert.equal(await prose.locator('*').count(), 0);
  await desk.page.waitForTimeout(300);
  assert.equal(await desk.page.evaluate('String(globalThis.pwned)'), 'undefined');
});

test('while the audit log can’t be written a banner says so, until something runs again', async () => {
  desk.server.stepMs = 0;
  await desk.signIn('analyst');
  desk.server.faults.auditDown = true;
  const turn = await desk.ask('anything');
  await turn.getByText('The audit log can’t be written, so nothing was run. Try again in 5 seconds.').waitFor();
  await desk.page.locator('.banner').getByText('Nothing runs while the audit log can’t be written.').waitFor();
  desk.server.faults.auditDown = false;
  await turn.getByRole('button', { name: 'Try again' }).click();
  await turn.locator('.answer-done').waitFor();
  assert.equal(await desk.page.locator('.banner').count(), 0);
});

test('a used-up budget says when to come back', async () => {
  await desk.signIn('analyst');
  desk.server.faults.quotaGone = true;
  await (await desk.ask('anything')).getByText('Your budget for today is used up. Try again in 6 hours.').waitFor();
});

test('a session that has ended leads back to the sign-in, with a notice', async () => {
  await desk.signIn('analyst');
  desk.server.endSessions();
  await desk.ask('anything');
  await desk.page.getByText('Your session has ended. Please sign in again.').waitFor();
});
