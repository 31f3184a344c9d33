import { open, readFile, rename } from 'node:fs/promises';
import type { TailPosition, TailPositions } from './tail.ts';

/** In one file, replaced as a whole. `log`: the origin of the log it is a place of. */
export function filePositions(file: string, log: string): TailPositions {
  return {
    async load() {
      let text: string;
      try {
        text = await readFile(file, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
      const { v, origin, next, leaf } = JSON.parse(text) as TailPosition & { v: unknown; origin: unknown };
      if (v !== 1 || !Number.isSafeInteger(next) || next < 0 || (leaf !== null && typeof leaf !== 'string')) {
        throw new Error(`${file}: this is no position in a log`);
      }
      if (origin !== log) throw new Error(`${file}: this is a position in the log ${String(origin)}, not in ${log}`);
      return { next, leaf };
    },
    async save(position) {
      const draft = `${file}.new`;
      {
        await using handle = await open(draft, 'w', 0o600);
        await handle.writeFile(`${JSON.stringify({ v: 1, origin: log, ...position })}\n`);
        await handle.sync();
      }
      await rename(draft, file);
    },
  };
}

/** Kept nowhere: the next start begins where it is told. */
export const noPositions: TailPositions = { load: async () => null, save: async () => {} };
