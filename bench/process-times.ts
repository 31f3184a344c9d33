import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in proc(5); the same on every Linux that Node runs on. */
const TICKS = 100;

/** CPU seconds so far of each group of processes and all their living descendants; null where there is no /proc. */
export function cpuSeconds(groups: readonly (readonly number[])[]): readonly (number | null)[] {
  const table = new Map<number, { readonly parent: number; readonly ticks: number }>();
  try {
    for (const name of readdirSync('/proc')) if (/^\d+$/.test(name)) readInto(table, Number(name));
  } catch {
    return groups.map(() => null);
  }
  return groups.map((roots) => {
    let ticks = 0;
    for (const [pid, entry] of table) if (descends(table, pid, roots)) ticks += entry.ticks;
    return ticks / TICKS;
  });
}

function readInto(table: Map<number, { parent: number; ticks: number }>, pid: number): void {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    table.set(pid, { parent: fields[1] ?? 0, ticks: (fields[11] ?? 0) + (fields[12] ?? 0) });
  } catch {
    // It ended between the listing and now.
  }
}

function descends(table: ReadonlyMap<number, { parent: number }>, pid: number, roots: readonly number[]): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = table.get(at)?.parent) {
    if (roots.includes(at)) return true;
  }
  return false;
}
