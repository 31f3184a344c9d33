import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { readdir, readFile, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import type { PortState } from './machine.ts';

const execute = promisify(execFile);
const ANSWER_MS = 3000;

/** Null where there is no such file. */
export const textOf = (file: string): Promise<string | null> => readFile(file, 'utf8').catch(() => null);

/** Permission bits; null where there is no such file. */
export const modeOf = async (file: string): Promise<number | null> =>
  (await stat(file).catch(() => null))?.mode ?? null;

/** All plain files of a folder; none where there is none. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
}

/** Of the file system of a folder, or of the nearest one above it that is there. */
export async function diskOf(folder: string): Promise<{ readonly free: number; readonly total: number }> {
  let at = folder;
  while (!existsSync(at)) at = dirname(at);
  const { bavail, blocks, bsize } = await statfs(at);
  return { free: bavail * bsize, total: blocks * bsize };
}

/** SHA-256 in hex of the whole file. @param onRead is told of each piece how many bytes it has */
export async function digestOf(file: string, onRead: (bytes: number) => void = () => undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    hash.update(chunk);
    onRead(chunk.length);
  }
  return hash.digest('hex');
}

/** Tries to listen; where somebody does already, `isOurs` looks who. */
export async function probePort(
  host: string,
  port: number,
  isOurs: (host: string, port: number) => Promise<boolean>,
): Promise<PortState['state']> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>();
  const server = createServer().once('error', resolve);
  server.listen(port, host, () => server.close(() => resolve(null)));
  const error = await promise;
  if (error === null) return 'free';
  if (error.code !== 'EADDRINUSE') return 'forbidden';
  return (await isOurs(host, port)) ? 'ours' : 'taken';
}

/** Whether a TLS server shows this very certificate. */
export function showsCertificate(host: string, port: number, fingerprint: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  // What is asked is who it is; nothing is sent to it.
  const socket = connectTls({ host, port, rejectUnauthorized: false, timeout: ANSWER_MS }, () =>
    resolve(socket.getPeerCertificate().fingerprint256 === fingerprint),
  );
  socket.once('error', () => resolve(false)).once('timeout', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** Whether a page over plain HTTP, which may ask for a token, holds this text. */
export const showsText = (address: string, text: string, token?: string): Promise<boolean> =>
  fetch(address, {
    signal: AbortSignal.timeout(ANSWER_MS),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })
    .then(async (answer) => (await answer.text()).includes(text))
    .catch(() => false);

/** Which of these shared libraries the dynamic linker would not find. */
export async function missingLibraries(names: readonly string[], searchPath: string): Promise<string[]> {
  const folders = searchPath.split(':').filter((folder) => folder !== '');
  const cache = await linkerCache();
  return names.filter((name) => !cache.has(name) && !folders.some((folder) => existsSync(join(folder, name))));
}

async function linkerCache(): Promise<ReadonlySet<string>> {
  for (const tool of ['/sbin/ldconfig', '/usr/sbin/ldconfig', 'ldconfig']) {
    try {
      const { stdout } = await execute(tool, ['-p'], { maxBuffer: 16 * 1024 * 1024 });
      return new Set(Array.from(stdout.matchAll(/^\s+(\S+)\s/gm), ([, name]) => name ?? ''));
    } catch {
      // Not there, or not for us: the next one.
    }
  }
  return new Set();
}
