import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { launchBrowser } from './browser.ts';
import type { TestGateway } from './gateway.ts';

/** A browser that takes the certificate of this gateway for good: with a fault in it no passkey would answer. */
export async function browserOf(test: TestGateway): Promise<Browser> {
  const { publicKey } = new X509Certificate(await readFile(join(test.dataDir, 'tls', 'server.pem')));
  const spki = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' }));
  return launchBrowser([`--ignore-certificate-errors-spki-list=${spki.digest('base64')}`]);
}

/** One window on the portal. */
export interface Desk {
  readonly page: Page;
  /** Closes it; nothing was blocked and nothing threw. */
  leave(): Promise<void>;
}

export async function openDesk(browser: Browser, locale = 'en-GB', width = 1280): Promise<Desk> {
  const context = await browser.newContext({ locale, viewport: { width, height: 800 } });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    const expected = message.text().startsWith('Failed to load resource: the server responded');
    if (message.type() === 'error' && !expected) faults.push(message.text());
  });
  await page.exposeFunction('reportViolation', (directive: string) => faults.push(`CSP: ${directive}`));
  await page.addInitScript({
    content: 'addEventListener("securitypolicyviolation", (event) => reportViolation(event.violatedDirective));',
  });
  return {
    page,
    leave: async () => {
      await context.close();
      assert.deepEqual(faults, []);
    },
  };
}

/** A platform authenticator in the browser, whose user is always there and always verified. */
export class VirtualAuthenticator {
  readonly #session: CDPSession;
  readonly #id: string;

  private constructor(session: CDPSession, id: string) {
    this.#session = session;
    this.#id = id;
  }

  static async plugIn(page: Page): Promise<VirtualAuthenticator> {
    const session = await page.context().newCDPSession(page);
    await session.send('WebAuthn.enable');
    const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    return new VirtualAuthenticator(session, authenticatorId);
  }

  /** Whether its user shows who he is the next time. */
  async verifies(isUserVerified: boolean): Promise<void> {
    await this.#session.send('WebAuthn.setUserVerified', { authenticatorId: this.#id, isUserVerified });
  }

  async credentials(): Promise<number> {
    return (await this.#session.send('WebAuthn.getCredentials', { authenticatorId: this.#id })).credentials.length;
  }
}
