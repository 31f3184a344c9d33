import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { CODE, PASSWORD, PortalServer } from '../fakes/portal-server.ts';
import { launchBrowser } from './browser.ts';

/** A reader in front of the portal: one page in a real browser, under the gateway's policy, against a fake gateway. */
export interface Desk {
  readonly page: Page;
  readonly server: PortalServer;
  readonly base: string;
  /** A fresh page in place of the present one. */
  open(options: { readonly locale?: string; readonly width?: number }): Promise<void>;
  signIn(username: string, path?: string): Promise<void>;
  /** Sends a question and answers its turn. */
  ask(question: string): Promise<Locator>;
}

/** Sets a desk up before each test of the file; after each, nothing was blocked, nothing threw, nothing left the origin. */
export function useDesk(): Desk {
  let browser: Browser;
  let context: BrowserContext | undefined;
  let page: Page;
  let server: PortalServer;
  let base: string;
  let faults: string[] = [];

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
    await context?.close();
    context = undefined;
    await server.close();
    assert.deepEqual(faults, []);
  });

  const open: Desk['open'] = async ({ locale = 'en-GB', width = 1280 }) => {
    await context?.close();
    faults = [];
    context = await browser.newContext({ locale, viewport: { width, height: 800 } });
    context.setDefaultTimeout(15_000);
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
  };

  return {
    get page() {
      return page;
    },
    get server() {
      return server;
    },
    get base() {
      return base;
    },
    open,
    async signIn(username, path = '/') {
      await page.goto(base + path);
      await page.getByLabel(/^(Username|用户名)$/).fill(username);
      await page.getByLabel(/^(Password|密码)$/).fill(PASSWORD);
      await page.keyboard.press('Enter');
      if (username === 'admin' || username === 'everyone') {
        await page.locator('.code-input').fill(CODE);
        await page.keyboard.press('Enter');
      }
      await page.locator('.top').waitFor();
    },
    async ask(question) {
      await page.locator('textarea').fill(question);
      // Enter sends nothing before it is known which model there is.
      await page.locator('.composer-go:enabled').waitFor();
      await page.keyboard.press('Enter');
      return page.locator('.turn').last();
    },
  };
}
