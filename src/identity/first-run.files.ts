import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FirstRun } from './first-run.ts';

const NAME = 'first-run.json';

/** Writes `.strongroom/first-run.json`, mode 0600, whole or not at all. */
export async function writeFirstRun(dataDir: string, content: FirstRun): Promise<void> {
  const file = join(dataDir, NAME);
  await writeFile(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Null where there is no such file (any more). */
export async function readFirstRun(dataDir: string): Promise<FirstRun | null> {
  try {
    return JSON.parse(await readFile(join(dataDir, NAME), 'utf8')) as FirstRun;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Takes one account out of the file; the file goes with the last one. */
export async function forgetFirstRun(dataDir: string, username: string): Promise<void> {
  const content = await readFirstRun(dataDir);
  if (content === null || !content.accounts.some((account) => account.username === username)) return;
  const accounts = content.accounts.filter((account) => account.username !== username);
  if (accounts.length === 0) await rm(join(dataDir, NAME), { force: true });
  else await writeFirstRun(dataDir, { ...content, accounts });
}
