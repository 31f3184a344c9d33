import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import type { Absent } from './rivals.ts';

const VERSION = '0.12.4';
const FOLDER = join(import.meta.dirname, '.cache', `open-webui-${VERSION}`);

export interface OpenWebUi {
  readonly version: string;
  readonly url: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

/** The one answer of its server that its sign-in page waits for: a plain form for name and password. */
const CONFIG = {
  status: true,
  name: 'Open WebUI',
  version: VERSION,
  default_locale: 'en-US',
  oauth: { providers: {} },
  features: { auth: true, enable_signup: false, enable_login_form: true, enable_ldap: false, enable_websocket: false },
};

/**
 * Open WebUI's own front end as its package on PyPI carries it, built and unchanged, behind a server that gives its files and
 * says that there is a form to sign in. Its Python server, which needs hundreds of packages, is not started.
 */
export async function startOpenWebUi(stack: AsyncDisposableStack): Promise<OpenWebUi | Absent> {
  try {
    await access(FOLDER).catch(fetchFrontEnd);
  } catch (error) {
    return { absent: `Open WebUI can't be fetched from PyPI: ${(error as Error).message.split('\n')[0]}` };
  }
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (/^\/(api|ws|ollama|openai)\b/.test(pathname)) {
      const isConfig = pathname === '/api/config';
      response.writeHead(isConfig ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(isConfig ? CONFIG : { detail: 'Not Found' }));
      return;
    }
    fileOf(pathname).then(
      ([file, bytes]) => {
        response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { version: VERSION, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth` };
}

/** Whatever is no file is a page of the application. */
async function fileOf(pathname: string): Promise<[file: string, bytes: Buffer]> {
  const file = join(FOLDER, normalize(pathname));
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
  const found = isFile ? file : join(FOLDER, 'index.html');
  return [found, await readFile(found)];
}

async function fetchFrontEnd(): Promise<void> {
  const run = promisify(execFile);
  const work = await mkdtemp(join(tmpdir(), 'strongroom-open-webui-'));
  try {
    const wanted = `open-webui==${VERSION}`;
    const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--dest', work];
    await run('python3', ['-m', 'pip', 'download', ...options, wanted]);
    const wheel = join(work, `open_webui-${VERSION}-py3-none-any.whl`);
    await run('python3', ['-m', 'zipfile', '-e', wheel, join(work, 'out')]);
    await mkdir(join(FOLDER, '..'), { recursive: true });
    // A copy first, since the temporary folder may be on another disk; whole or not at all.
    const half = await mkdtemp(join(FOLDER, '..', 'half-'));
    await run('cp', ['-r', join(work, 'out', 'open_webui', 'frontend'), half]);
    await rename(join(half, 'frontend'), FOLDER);
    await rm(half, { recursive: true });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
