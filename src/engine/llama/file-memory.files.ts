import { fstatSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { type FileEntry, type FileMemory, type FileStamp, fileMemory } from './file-memory.ts';

const Bytes = z.number().nonnegative();
const Entries = z.record(
  z.string().regex(/^[0-9a-f]{64}$/),
  z.strictObject({
    stamp: z.string().max(400).optional(),
    probed: z.boolean().optional(),
    quarantine: z.strictObject({ reason: z.string().max(400), since: z.number() }).optional(),
    measured: z.record(z.string().max(200), z.strictObject({ ram: Bytes, vram: Bytes })).optional(),
  }),
);

/** Of an open file, not of its name. */
export function stampOf(descriptor: number): FileStamp {
  const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(descriptor, { bigint: true });
  return { device: dev, inode: ino, size, modifiedNs: mtimeNs, changedNs: ctimeNs };
}

/** Kept in `engine/files.json` of the data folder. A file that can't be read is nothing remembered, never a failure. */
export async function openFileMemory(dataDir: string, catalogue: string, clock: Clock, log: Log): Promise<FileMemory> {
  const folder = join(dataDir, 'engine');
  const file = join(folder, 'files.json');
  const entries = await read(file, log);
  let writing: Promise<void> = Promise.resolve();
  const save = () => {
    const text = JSON.stringify(Object.fromEntries(entries));
    writing = writing
      .then(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      })
      .catch((error: unknown) => log.warn('what is known of model files was not kept', { error }));
  };
  return fileMemory(entries, catalogue, () => clock.now(), save);
}

async function read(file: string, log: Log): Promise<Map<string, FileEntry>> {
  try {
    return new Map(
      Object.entries(Entries.parse(JSON.parse(await readFile(file, 'utf8'))) as Record<string, FileEntry>),
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn('what was known of model files is lost', { error });
    return new Map();
  }
}
