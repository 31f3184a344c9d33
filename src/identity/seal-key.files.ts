import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SEAL_KEY_BYTES } from './sealer.crypto.ts';

/** During a rotation there are two; what is left of an interrupted one may make it three. */
const MAX_KEYS = 8;

/**
 * Reads the seal keys, one in base64 a line. Which of them is in use, the database says.
 *
 * @throws Error when the file can't be read, is readable by others, or holds anything else
 */
export async function readSealKeys(file: string): Promise<Uint8Array[]> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new Error(`${file}: others may read this key; chmod 600`);
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  const keys = lines.map((line) => Buffer.from(line.trim(), 'base64'));
  if (keys.length === 0 || keys.length > MAX_KEYS || keys.some((key) => key.length !== SEAL_KEY_BYTES))
    throw new Error(`${file}: a seal key holds ${SEAL_KEY_BYTES} bytes in base64`);
  return keys;
}

export const newSealKey = (): Uint8Array => randomBytes(SEAL_KEY_BYTES);

const textOf = (keys: readonly Uint8Array[]): string =>
  keys.map((key) => `${Buffer.from(key).toString('base64')}\n`).join('');

/** Makes a seal key where there is none yet; never overwrites. Returns whether it made one. */
export async function makeSealKey(file: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    await write(file, textOf([newSealKey()]));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Puts these keys in the place of those in the file: whole or not at all, on disk when this resolves. */
export async function replaceSealKeys(file: string, keys: readonly Uint8Array[]): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  await write(draft, textOf(keys));
  await rename(draft, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function write(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Changes whenever the file is another one. */
export async function sealFileState(file: string): Promise<string> {
  const { mtimeMs, ino, size } = await stat(file);
  return `${mtimeMs} ${ino} ${size}`;
}
