import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser } from '../test/harness/browser.ts';
import { startMock } from './child.ts';
import { signIn } from './first-run.ts';
import { startOpenWebUi } from './open-webui.ts';
import { MODEL } from './question.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { mockEntry, startStrongroom } from './strongroom.ts';

const LEAST_ROUNDS = 5;
const REACH = { kilobytes: 60, beyondKilobytes: 30, violations: 0 } as const;
const LIBRECHAT = 'no package of it carries its built front end; it comes as a container image';

/** A page in one round. */
interface Sight {
  readonly name: string;
  readonly isOurs: boolean;
  /** JavaScript and CSS that the page has asked for so far, each file gzipped at level 9. */
  readonly kilobytes: number;
  readonly files: number;
  /** First contentful paint, where the page was opened by address. */
  readonly firstContentMs: number | null;
  /** Rules of axe-core that are broken, by name; null where axe-core is not installed. */
  readonly violations: readonly string[] | null;
}

/**
 * What the portal brings and how soon it is there (goals.md, `portal`), against other front ends' sign-in pages, in a real
 * browser. @throws Error when a page does not come up
 */
export async function runPortal(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '5' } } });
  await withScratch((stack, folder) => measure(Number(values.rounds), stack, folder));
}

async function measure(rounds: number, stack: AsyncDisposableStack, folder: string): Promise<void> {
  // What is served is what the sources are now.
  await promisify(execFile)('npm', ['run', '--silent', 'build'], { cwd: join(import.meta.dirname, '..') });
  const mock = await startMock();
  stack.use(mock.child);
  // The mock streams as many tokens as it may, 20 a second.
  const models = { [MODEL]: { ...mockEntry(mock.port), maxOutputTokens: 8 } };
  const strongroom = await startStrongroom(stack, folder, mock.port, { models });
  const { password } = await signIn(join(folder, 'data'), strongroom.port);
  const rival = await startOpenWebUi(stack);
  const axe = await axeSource();
  const browser = await launchBrowser();
  stack.defer(() => browser.close());
  const url = `https://localhost:${strongroom.port}/`;
  const sights: Sight[] = [];
  for (let round = 0; round <= rounds; round++) {
    const taken = [
      ...(await ourPages(browser, url, password, 'en-GB', axe)),
      ...(round === 1 ? await ourPages(browser, url, password, 'zh-CN', axe) : []),
      ...('absent' in rival ? [] : [await rivalPage(browser, `Open WebUI ${rival.version}, sign-in`, rival.url, axe)]),
    ];
    // The first one fills caches of the servers.
    if (round > 0) sights.push(...taken);
    process.stdout.write(round === 0 ? 'warmed up\n' : `round ${round} of ${rounds}\n`);
  }
  const absent = { ...('absent' in rival ? { 'Open WebUI': rival.absent } : {}), LibreChat: LIBRECHAT };
  const pages = [...new Set(sights.map(({ name }) => name))].map((name) => pageOf(name, sights));
  const cells = pages.map(({ name, kilobytes, files, firstContentMs, violations }) => [
    name,
    `${kilobytes.toFixed(1)} in ${files}`,
    firstContentMs === null ? '-' : spreadText(firstContentMs, 0),
    violations === null ? 'absent' : String(violations.length),
  ]);
  process.stdout.write(`\n${table(['page', 'kB gzip, files', 'first content ms', 'axe violations'], cells)}\n`);
  for (const { name, violations } of pages) {
    if (violations !== null && violations.length > 0) process.stdout.write(`${name}: ${violations.join(', ')}\n`);
  }
  for (const [name, why] of Object.entries(absent)) process.stdout.write(`${name} absent: ${why}\n`);
  if (axe === null) process.stdout.write('axe-core absent: npm ci installs it\n');
  process.stdout.write(
    `goal: ${REACH.kilobytes} kB for sign-in and chat, beyond ${REACH.beyondKilobytes}; 0 violations\n`,
  );
  if (rounds < LEAST_ROUNDS) return;
  const packages = { ...('absent' in rival ? {} : { 'open-webui': rival.version }) };
  const result = {
    ...circumstances(packages),
    browser: browser.version(),
    plan: { rounds },
    reach: REACH,
    absent,
    pages,
  };
  process.stdout.write(`written to ${await writeResult('portal', result)}\n`);
}

function pageOf(name: string, sights: readonly Sight[]) {
  const seen = sights.filter((sight) => sight.name === name);
  const [one] = seen;
  const times = seen.flatMap(({ firstContentMs }) => (firstContentMs === null ? [] : [firstContentMs]));
  const violations = seen.flatMap((sight) => sight.violations ?? []);
  return {
    name,
    isOurs: one?.isOurs === true,
    kilobytes: Math.max(...seen.map(({ kilobytes }) => kilobytes)),
    files: Math.max(...seen.map(({ files }) => files)),
    firstContentMs: times.length === 0 ? null : spreadOf(times),
    violations: one?.violations === null ? null : [...new Set(violations)],
  };
}

/** The sign-in page, and the page to ask on with an answer in it, in a browser that knows nothing yet. */
async function ourPages(
  browser: Browser,
  url: string,
  password: string,
  locale: string,
  axe: string | null,
): Promise<Sight[]> {
  const context = await browser.newContext({ locale, ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    const brought = watch(page);
    await page.goto(url);
    const name = page.locator('input[autocomplete="username"]');
    await name.waitFor();
    const before = await sightOf(page, `Strongroom, sign-in${locale === 'en-GB' ? '' : `, ${locale}`}`, brought, axe);
    await name.fill('analyst');
    await page.locator('input[type="password"]').fill(password);
    await page.keyboard.press('Enter');
    await page.locator('.welcome').waitFor();
    await page.locator('textarea').fill('When does the vault open?');
    await page.keyboard.press('Enter');
    await page.locator('.answer-done').waitFor();
    const after = await sightOf(
      page,
      `Strongroom, sign-in and chat${locale === 'en-GB' ? '' : `, ${locale}`}`,
      brought,
      axe,
    );
    return [
      { ...before, isOurs: true },
      { ...after, isOurs: true, firstContentMs: null },
    ];
  } finally {
    await context.close();
  }
}

async function rivalPage(browser: Browser, name: string, url: string, axe: string | null): Promise<Sight> {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    const brought = watch(page);
    await page.goto(url);
    await page.locator('input[type="password"]').waitFor();
    return { ...(await sightOf(page, name, brought, axe)), isOurs: false };
  } finally {
    await context.close();
  }
}

/** By address; a file that was there before counts once. */
type Brought = Map<string, Promise<number>>;

function watch(page: Page): Brought {
  const brought: Brought = new Map();
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (!/\.(js|css)$/.test(pathname)) return;
    brought.set(
      pathname,
      response.body().then((body) => gzipSync(body, { level: 9 }).length),
    );
  });
  return brought;
}

async function sightOf(page: Page, name: string, brought: Brought, axe: string | null): Promise<Omit<Sight, 'isOurs'>> {
  await page.waitForLoadState('networkidle');
  const sizes = await Promise.all(brought.values());
  const firstContentMs = (await page.evaluate(
    "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null",
  )) as number | null;
  const kilobytes = sizes.reduce((sum, size) => sum + size, 0) / 1000;
  return {
    name,
    kilobytes,
    files: sizes.length,
    firstContentMs,
    violations: axe === null ? null : await broken(page, axe),
  };
}

async function broken(page: Page, axe: string): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate('axe.run().then(({ violations }) => violations.map(({ id }) => id))');
  return found as string[];
}

/** Null where it is not installed. */
async function axeSource(): Promise<string | null> {
  try {
    return await readFile(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
  } catch {
    return null;
  }
}
