import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, constants, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inflate } from '@sparticuz/chromium';
import { type Browser, chromium, type LaunchOptions } from 'playwright-core';

/**
 * A real browser from npm alone: `@sparticuz/chromium` carries the binary and the shared libraries (nss, nspr, expat)
 * that a bare machine lacks, `playwright-core` drives it. Works as root and without a network. Close it to end it.
 * `more`: flags of the test's own.
 */
export async function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  restoreProto();
  const home = await unpacked();
  const driver = spawn(process.execPath, [fileURLToPath(new URL('./browser-server.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: process.env,
  });
  const options: LaunchOptions = {
    executablePath: join(home, 'chromium'),
    headless: true,
    args: [...FLAGS, ...more],
    env: {
      ...definedEnvironment(),
      HOME: home,
      LD_LIBRARY_PATH: [join(home, 'al2023', 'lib'), process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':'),
      ...(hasFonts() ? {} : { FONTCONFIG_PATH: join(home, 'fonts') }),
    },
  };
  driver.stdin.write(`${JSON.stringify(options)}\n`);
  const endpoint = await firstLine(driver);
  const browser = await chromium.connect(endpoint);
  browser.on('disconnected', () => driver.stdin.end());
  return browser;
}

async function firstLine(driver: ChildProcessByStdio<Writable, Readable, null>): Promise<string> {
  for await (const line of createInterface({ input: driver.stdout })) return line;
  throw new Error('the browser did not start; its reason is above');
}

/** Playwright colours its error messages with code of 2014 that sets `__proto__`; `--disable-proto=throw` would hide them. */
function restoreProto(): void {
  Object.defineProperty(Object.prototype, '__proto__', {
    configurable: true,
    get(this: object): object | null {
      return Object.getPrototypeOf(this);
    },
    set(this: object, prototype: object | null) {
      Object.setPrototypeOf(this, prototype);
    },
  });
}

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--font-render-hinting=none',
];

const hasFonts = (): boolean => process.env['FONTCONFIG_PATH'] !== undefined || existsSync('/etc/fonts/fonts.conf');

function definedEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) environment[name] = value;
  return environment;
}

/**
 * The folder with the unpacked browser, made once per version. It is never a guessable path in a folder that others may
 * write to: what lies there would be run as us. Test files run at the same time, so it appears by one rename.
 */
async function unpacked(): Promise<string> {
  const chromiumPackage = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '..');
  const archives = join(chromiumPackage, 'bin');
  const { version } = JSON.parse(await readFile(join(chromiumPackage, 'package.json'), 'utf8')) as { version: string };
  const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
  const cache = join(modules, '.cache');
  const home = join(cache, `chromium-${version}`);
  if (existsSync(home)) return home;
  const writable = await access(modules, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (writable) await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(join(writable ? cache : tmpdir(), 'chromium-unpack-'));
  await inflateInto(fresh, archives);
  if (!writable) return fresh;
  try {
    await rename(fresh, home);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (!existsSync(home)) throw error;
  }
  return home;
}

/** `inflate` writes below `os.tmpdir()`, which reads TMPDIR each time it is asked. */
async function inflateInto(folder: string, archives: string): Promise<void> {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  try {
    const wanted = (await readdir(archives)).filter((name) => name.endsWith('.br') && !name.startsWith('swiftshader'));
    await Promise.all(wanted.map((name) => inflate(join(archives, name))));
    // The kernel answers ETXTBSY while a fork of this process still holds the file open for writing.
    await delay(50);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
}
