import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SEAL_KEY_BYTES } from './sealer.crypto.ts';

/** Reads the seal key. @throws Error when it can't be read, is readable by others, or is not 32 bytes in base64. */
export async function readSealKey(file: string): Promise<Uint8Array> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new Error(`${file}: others may read this key; chmod 600`);
  const key = Buffer.from((await readFile(file, 'utf8')).trim(), 'base64');
  if (key.length !== SEAL_KEY_BYTES) throw new Error(`${file}: a seal key holds ${SEAL_KEY_BYTES} bytes in base64`);
  return key;
}

/** Makes a seal key where there is none yet; never overwrites. Returns whether it made one. */
export async function makeSealKey(file: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(SEAL_KEY_BYTES).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
