import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { DEMO_TEXT } from '../engine/demo.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { launchBrowser } from '../harness/browser.ts';
import { demoEntry, eventually, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const OTHER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

/** The portal of a real gateway, with a real model, in a real browser: what a new user does first. */
describe('the portal on the gateway', () => {
  let test: TestGateway;
  let browser: Browser;
  let upstream: FakeUpstream;

  before(async () => {
    // It speaks so slowly that it is still within an analyst's bound of max_tokens when it is stopped.
    upstream = await startFakeUpstream({ loop: true, pauseMs: 20 });
    [test, browser] = await Promise.all([
      TestGateway.open(async () => ({
        models: { demo: await demoEntry(), endless: upstreamEntry(upstream.url) },
      })),
      launchBrowser(),
    ]);
  });
  after(async () => {
    await browser.close();
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  /** A page of somebody who has signed in, and what went wrong on it. */
  async function desk(username: 'analyst' | 'auditor'): Promise<{ page: Page; faults: string[] }> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US' });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (line) => {
      // The look whether somebody is signed in already is answered 401; everything else is a fault.
      if (line.type() === 'error' && !line.text().includes('401')) faults.push(line.text());
    });
    await page.addInitScript(
      'window.blocked = []; addEventListener("securitypolicyviolation", (event) => window.blocked.push(event.violatedDirective + " " + event.blockedURI));',
    );
    await page.goto(test.url);
    await page.getByLabel('Username').fill(username);
    await page.getByLabel('Password', { exact: true }).fill(test.account(username).password);
    await page.keyboard.press('Enter');
    return { page, faults };
  }

  const attributes = (page: Page, selector: string, name: string) =>
    page.evaluate<string[]>(
      `Array.from(document.querySelectorAll('${selector}'), (one) => one.getAttribute('${name}'))`,
    );

  async function leave(page: Page, faults: readonly string[]): Promise<void> {
    assert.equal(await page.evaluate('JSON.stringify(window.blocked)'), '[]');
    assert.deepEqual(faults, []);
    await page.context().close();
  }

  it('gives an analyst the answer of the real engine, and shows an auditor its record', async () => {
    const analyst = await desk('analyst');
    await analyst.page.getByText('ready').waitFor();
    await analyst.page.locator('textarea').fill('What are you? 你好');
    await analyst.page.getByRole('button', { name: 'Send' }).click();
    const foot = analyst.page.locator('.turn-foot');
    await foot.getByText('On the audit record.').waitFor();
    assert.equal(await analyst.page.locator('.answer .prose').textContent(), DEMO_TEXT);
    await analyst.page.getByText('999 of 1,000').waitFor();
    const request = /req_[0-9a-f]{32}/.exec((await foot.textContent()) ?? '')?.[0] ?? '';
    await leave(analyst.page, analyst.faults);

    const auditor = await desk('auditor');
    await auditor.page.getByRole('heading', { name: 'Audit log' }).waitFor();
    await auditor.page.getByLabel('Request').fill(request);
    await auditor.page.getByRole('button', { name: 'Search' }).click();
    await auditor.page.getByText('completed').first().waitFor();
    const [, outcome] = await test.records(request);
    assert.ok(outcome, 'intent and outcome are on the record');
    await auditor.page.locator(`a[href="#/audit/${outcome.seq}"]`).click();
    await auditor.page.getByText('These bytes are what was hashed').waitFor();
    await leave(auditor.page, auditor.faults);
  });

  it('checks the receipt of an answer in the browser, and shows an auditor how it was decided, with proof', async () => {
    const { page, faults } = await desk('analyst');
    await page.getByText('ready').waitFor();
    for (const question of ['What are you?', 'And who keeps the keys?']) {
      await page.locator('textarea').fill(question);
      await page.getByRole('button', { name: 'Send' }).click();
      await page.locator('.turn', { hasText: question }).locator('.answer-done').waitFor();
    }
    // Of the second answer: what was sent is the whole conversation.
    await page.getByRole('link', { name: 'Receipt' }).last().click();
    await page.getByRole('heading', { name: 'Receipt of an answer' }).waitFor();
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByRole('heading', { name: 'The receipt is good' }).waitFor();
    const checks = await attributes(page, '[data-check]', 'data-check');
    assert.ok(['checkpoint', 'outcome_inclusion', 'prompt', 'answer'].every((one) => checks.includes(one)));
    const save = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the receipt' }).click();
    assert.match((await save).suggestedFilename(), /^req_[0-9a-f]{32}\.json$/);
    const answer = page.getByLabel('The answer, as you got it');
    const said = await answer.inputValue();
    await answer.fill(`${said}!`);
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByRole('heading', { name: 'The receipt is not good' }).waitFor();
    assert.equal(await page.locator('[data-ok=false]').getAttribute('data-check'), 'answer');
    await answer.fill(said);
    await page.getByLabel('Verifier key of the log').fill(OTHER_KEY);
    await page.getByRole('button', { name: 'Check' }).click();
    await page.locator('[data-check=checkpoint][data-ok=false]').waitFor();
    const request = /req_[0-9a-f]{32}/.exec(page.url())?.[0] ?? '';
    await leave(page, faults);

    const auditor = await desk('auditor');
    await auditor.page.getByRole('heading', { name: 'Audit log' }).waitFor();
    const { seq } = await test.outcome(request);
    await auditor.page.goto(`${test.url}/#/audit/${seq}`);
    await auditor.page.getByRole('button', { name: 'Prove that it is in the signed tree' }).click();
    await auditor.page.getByText('The record is in the signed tree').waitFor();
    await auditor.page.getByRole('button', { name: 'Show how it was decided' }).click();
    const story = auditor.page.locator('.story');
    await story.getByText('Rule “analyst-infer” of policy version 1 allowed it.').waitFor();
    const steps = await attributes(auditor.page, '.story li', 'data-step');
    assert.deepEqual(steps, ['asked', 'allowed', 'quota', 'made', 'counted', 'ended']);
    for (const fact of [
      'Weights (SHA-256)',
      'Chat template (SHA-256)',
      'Engine build',
      'Seed',
      'First word after (ms)',
    ])
      await story.getByText(fact).waitFor();
    await auditor.page.getByLabel('Verifier key of the log').fill(OTHER_KEY);
    await auditor.page.getByRole('button', { name: 'Prove that it is in the signed tree' }).click();
    await auditor.page.getByText('The record is NOT in the signed tree').waitFor();
    await leave(auditor.page, auditor.faults);
  });

  it('shows text as the model makes it, and Stop ends the generation', async () => {
    const { page, faults } = await desk('analyst');
    await page.getByText('ready').waitFor();
    await page.getByLabel('Model').selectOption('endless');
    await page.getByText('ready').waitFor();
    await page.locator('textarea').fill('Go on for ever');
    await page.getByRole('button', { name: 'Send' }).click();
    const prose = page.locator('.answer .prose');
    await prose.waitFor();
    const seen = new Set<number>();
    while (seen.size < 3) seen.add((await prose.textContent())?.length ?? 0);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('article').getByText('You stopped this answer.').waitFor();
    await eventually(() => upstream.running === 0);
    await leave(page, faults);
  });
});
