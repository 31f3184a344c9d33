import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { AuditMemory, RememberedHead } from './tree.ts';

/**
 * The memory as a JSON file: written beside, synced, renamed over the old one, and the folder synced as well. Two
 * gateways of one data folder share it; the smaller tree never replaces the larger.
 */
export function fileMemory(file: string): AuditMemory {
  const load = async (): Promise<RememberedHead | null> => {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    return text === null ? null : parse(file, text);
  };
  return {
    load,
    save: async (head) => {
      const before = await load();
      if (before !== null && before.origin === head.origin && before.size > head.size) return;
      await replace(file, head);
    },
  };
}

/** Forgets what was remembered for what is there now. Only after that was put on the record. */
export const replaceMemory = (file: string, head: RememberedHead): Promise<void> => replace(file, head);

async function replace(file: string, { origin, size, root }: RememberedHead): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const beside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(beside, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify({ origin, size, root: Buffer.from(root).toString('base64') })}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function parse(file: string, text: string): RememberedHead {
  try {
    const { origin, size, root } = JSON.parse(text);
    const bytes = Buffer.from(String(root), 'base64');
    if (typeof origin === 'string' && Number.isSafeInteger(size) && size >= 0 && bytes.length === 32) {
      return { origin, size, root: bytes };
    }
  } catch {
    // Said below.
  }
  throw new Error(`${file}: what this gateway remembers of the audit log can't be read`);
}
