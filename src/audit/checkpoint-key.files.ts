import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
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

/** Beside the key in force: one that is prepared, and the one before. */
const nextOf = (file: string): string => `${file}.next`;
const previousOf = (file: string): string => `${file}.previous`;

/** Every key that lies here, the present one first. @throws as {@link readCheckpointKey} */
export async function readCheckpointKeys(file: string): Promise<KeyObject[]> {
  const others = [nextOf(file), previousOf(file)].filter((name) => existsSync(name));
  return Promise.all([file, ...others].map(readCheckpointKey));
}

/** The key that a rotation will put in force; made where there is none yet. */
export async function prepareNextKey(file: string): Promise<KeyObject> {
  await makeCheckpointKey(nextOf(file));
  return readCheckpointKey(nextOf(file));
}

/** The prepared key becomes the present one, which stays beside it. At no moment is there none. Repeatable. */
export async function installNextKey(file: string): Promise<string> {
  await rm(previousOf(file), { force: true });
  await link(file, previousOf(file));
  await rename(nextOf(file), file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return previousOf(file);
}
