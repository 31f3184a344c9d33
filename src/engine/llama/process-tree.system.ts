import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** A sandbox is a chain of processes with one child each; deeper than this there is nothing of ours. */
const DEEPEST = 4;

/**
 * The process at the end of the chain that a sandbox makes: our launcher, its own first process, and then the engine.
 * Where the system does not tell, the one that we started.
 */
export function innermost(pid: number): number {
  let found = pid;
  for (let depth = 0; depth < DEEPEST; depth++) {
    try {
      if (readFileSync(`/proc/${found}/comm`, 'utf8').trim() !== 'bwrap') return found;
      const [child] = readFileSync(`/proc/${found}/task/${found}/children`, 'utf8').trim().split(' ');
      if (child === undefined || child === '') return found;
      found = Number(child);
    } catch {
      return found;
    }
  }
  return found;
}

/** Memory of a process in bytes, file pages of the model included, as the kernel shares it out; null where unknown. */
export function memoryOf(pid: number): number | null {
  try {
    return sumOf(readFileSync(rollupOf(pid), 'utf8'));
  } catch {
    return null;
  }
}

/** The same, while this thread does other things. */
export const memoryNow = (pid: number): Promise<number | null> =>
  readFile(rollupOf(pid), 'utf8').then(sumOf, () => null);

const rollupOf = (pid: number): string => `/proc/${pid}/smaps_rollup`;

function sumOf(rollup: string): number {
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  return (figure('Pss') + figure('SwapPss')) * 1024;
}
