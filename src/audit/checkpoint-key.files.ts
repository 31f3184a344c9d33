import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Reads the key that signs checkpoints. @throws Error when it can't be read, others may read it, or it is no Ed25519 key. */
export async function readCheckpointKey(file: string): Promise<KeyObject> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new Error(`${file}: others may read this key; chmod 600`);
  const text = await readFile(file, 'utf8');
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // The cause would repeat parts of the file.
    throw new Error(`${file}: this is no private key in PEM`);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${file}: checkpoints are signed with Ed25519`);
  return key;
}

/** Makes a key (PKCS #8 in PEM, RFC 8410) where there is none yet; never overwrites. Returns whether it made one. */
export async function makeCheckpointKey(file: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
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
