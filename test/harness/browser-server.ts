import { createInterface } from 'node:readline';
import { chromium, type LaunchOptions } from 'playwright-core';

// Playwright's driver makes functions from strings, which the hardened test process may not: it runs in here, started by
// browser.ts without those flags. First line in: the launch options. First line out: where to connect. It ends with its
// standard input, so that it never outlives the test.
const input = createInterface({ input: process.stdin });
input.once('line', async (line) => {
  const server = await chromium.launchServer({ ...(JSON.parse(line) as LaunchOptions), host: '127.0.0.1' });
  input.once('close', () => void server.close().finally(() => process.exit(0)));
  process.stdout.write(`${server.wsEndpoint()}\n`);
});
