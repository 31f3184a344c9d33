import { stat } from 'node:fs/promises';
import type { Rotating } from '#engine/model-spec.ts';
import type { Log } from '#kernel/log.ts';

export interface RotatingFiles<T> {
  readonly files: readonly string[];
  /** @throws Error that names the file, and never what is in it */
  readonly read: () => Promise<T>;
  readonly isSame: (one: T, other: T) => boolean;
  /** For the log: `the key of a model server`. */
  readonly what: string;
  readonly log: Log;
}

/**
 * Reads what files hold, and again whenever one of them has changed; a replacement that is not usable is logged once and
 * the old one kept, also where of two files that belong together the first was replaced. By looking: notifications miss
 * the renamed folder links by which secrets are mounted.
 *
 * @throws Error as `read` does, the first time
 */
export async function openRotating<T>({ files, read, isSame, what, log }: RotatingFiles<T>): Promise<Rotating<T>> {
  const signature = async () => (await Promise.all(files.map(signatureOf))).join('\n');
  const file = files.join(', ');
  let seen = await signature();
  let current = await read();
  let looking: Promise<boolean> | null = null;

  const look = async (): Promise<boolean> => {
    try {
      const found = await signature();
      if (found === seen) return false;
      // Noted before reading: what changes meanwhile shows as another change at the next look.
      seen = found;
      const next = await read();
      if (isSame(next, current)) return false;
      current = next;
      log.info(`${what} was replaced`, { file });
      return true;
    } catch (error) {
      log.error(`${what} was replaced by what is not usable; the old one stays`, { file, error });
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
