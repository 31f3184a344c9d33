import { readFile, stat } from 'node:fs/promises';
import type { RotatingKey } from '#engine/model-spec.ts';
import type { Log } from '#kernel/log.ts';

/** What may stand in a header: anything else is no key but, say, a page of HTML. */
const KEY = /^[\x21-\x7e]{1,4096}$/;

/**
 * Reads an API key, and again whenever the file has changed; a replacement that is none is logged once and the old key
 * kept. By looking: notifications miss the renamed folder links by which secrets are mounted.
 *
 * @throws Error when the file can't be read or holds no key; never with what is in it
 */
export async function openKeyFile(file: string, log: Log): Promise<RotatingKey> {
  let seen = await signatureOf(file);
  let current = await readKey(file);
  let looking: Promise<boolean> | null = null;

  const look = async (): Promise<boolean> => {
    try {
      const signature = await signatureOf(file);
      if (signature === seen) return false;
      seen = signature;
      const next = await readKey(file);
      if (next === current) return false;
      current = next;
      log.info('the key of a model server was replaced', { file });
      return true;
    } catch (error) {
      log.error('the new key of a model server is not usable; the old one stays', { file, error });
      return false;
    }
  };
  return {
    get current() {
      return current;
    },
    reload() {
      looking ??= look().finally(() => {
        looking = null;
      });
      return looking;
    },
  };
}

async function signatureOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => null);
  return found === null ? 'missing' : `${found.ino} ${found.size} ${found.mtimeNs}`;
}

async function readKey(file: string): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim();
  if (!KEY.test(text)) throw new Error(`${file}: holds no API key`);
  return text;
}
