import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { readCustomers } from '#scoring/customers.shared.ts';
import { plainScore } from '#scoring/score-model.ts';
import { launchBrowser } from '../harness/browser.ts';
import { eventually, present, TestGateway } from '../harness/gateway.ts';
import { CREDIT_RISK } from './models.ts';

const FILE = join(import.meta.dirname, '../../models/demo/credit-risk/customers.csv');

/** What an analyst does: drops a file of 2,000 customers and gets ranked scores, in a real browser on a real gateway. */
describe('encrypted scoring in the portal', () => {
  let test: TestGateway;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];
  before(async () => {
    [test, browser] = await Promise.all([
      TestGateway.open({ models: {}, scoring: { enabled: true } }),
      launchBrowser(),
    ]);
    const analyst = await test.signIn('analyst');
    await eventually(async () => {
      const answer = await test.client.get('/v1/scoring/models', analyst.bearer);
      return answer.json<{ data: unknown[] }>().data.length > 0;
    });
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US' });
    page = await context.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (line) => {
      if (line.type() === 'error' && !line.text().includes('401')) faults.push(line.text());
    });
    await page.addInitScript(
      'window.blocked = []; addEventListener("securitypolicyviolation", (event) => window.blocked.push(event.violatedDirective + " " + event.blockedURI));',
    );
    await page.goto(`${test.url}/#/scoring`);
    await page.getByLabel('Username').fill('analyst');
    await page.getByLabel('Password', { exact: true }).fill(test.account('analyst').password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /Score customers/ }).waitFor();
  });
  after(async () => {
    await browser.close();
    await test[Symbol.asyncDispose]();
  });

  it('one customer', async () => {
    const [name = ''] = CREDIT_RISK.features.map((feature) => feature.name);
    await page.getByLabel(name.replaceAll('_', ' '), { exact: true }).fill('30');
    await page.getByRole('button', { name: 'Encrypt and score' }).click();
    const shown = Number(await page.locator('.score-output b').textContent());
    const row = CREDIT_RISK.features.map(({ mean }, index) => (index === 0 ? 30 : Number(mean.toPrecision(4))));
    assert.ok(Math.abs(shown - plainScore(CREDIT_RISK, row)) <= 6e-5);
  });

  it('a table that can not be read is told by line and column, and nothing is sent', async () => {
    const sent: string[] = [];
    const watch = (request: { url(): string; method(): string }) => {
      if (request.method() === 'POST') sent.push(request.url());
    };
    page.on('request', watch);
    await page.locator('input[type=file]').setInputFiles({
      name: 'x.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('age_years\nx\n'),
    });
    await page.getByText('The file has no column line 1, income_monthly').waitFor();
    page.off('request', watch);
    assert.deepEqual(sent, []);
  });

  it('a file of 2,000: ranked, drawn, and downloaded as the plain arithmetic gives it', async () => {
    await page.locator('input[type=file]').setInputFiles(FILE);
    await page.getByText(/2,000 customers in/).waitFor();
    const { names, rows } = readCustomers(
      await readFile(FILE, 'utf8'),
      CREDIT_RISK.features.map(({ name }) => name),
    );
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download as CSV' }).click();
    const [header, ...lines] = (await text(await (await download).createReadStream())).trim().split('\r\n');
    assert.equal(header, 'customer,score');
    assert.equal(lines.length, 2000);
    const scores = new Map(lines.map((line) => line.split(',') as [string, string]));
    names.forEach((name, index) => {
      const expected = plainScore(CREDIT_RISK, rows[index] ?? []);
      assert.ok(Math.abs(Number(scores.get(name)) - expected) <= 6e-5, name);
    });
    const values = lines.map((line) => Number(line.split(',')[1]));
    assert.deepEqual(
      values,
      values.toSorted((a, b) => b - a),
    );
    assert.equal(await page.locator('.score-histogram rect').count(), 20);
    assert.equal(await page.locator('tbody tr').count(), 100);
  });

  it('leaving the page ends the key, here and at the gateway; nothing was blocked and nothing threw', async () => {
    const closed = page.waitForResponse((response) => response.request().method() === 'DELETE');
    await page.evaluate('location.hash = "#/ask"');
    assert.equal((await closed).status(), 204);
    assert.equal(await page.evaluate('JSON.stringify(window.blocked)'), '[]');
    assert.deepEqual(faults, []);
    const requests = await test.database.sql<{ record: string }>("SELECT record FROM entry WHERE action = 'score'");
    assert.ok(requests.length >= 6);
    assert.ok(present(requests.at(-1)).record.includes('"customers":2000'));
  });
});
