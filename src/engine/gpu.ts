/** One GPU as nvidia-smi shows it. */
export interface Gpu {
  readonly index: number;
  readonly name: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
}

const MEBIBYTE = 1024 * 1024;

/** `--query-gpu=index,name,memory.total,memory.used --format=csv,noheader,nounits`. Lines that are not one are left out. */
export function readGpus(text: string): Gpu[] {
  return text.split('\n').flatMap((line) => {
    const [, index, name, total, used] = /^\s*(\d+)\s*,\s*(.+?)\s*,\s*(\d+)\s*,\s*(\d+)\s*$/.exec(line) ?? [];
    if (index === undefined || name === undefined) return [];
    return [{ index: Number(index), name, totalBytes: Number(total) * MEBIBYTE, usedBytes: Number(used) * MEBIBYTE }];
  });
}

/** `--query-compute-apps=pid,used_memory --format=csv,noheader,nounits`: bytes by process id, all GPUs together. */
export function readGpuUse(text: string): Map<number, number> {
  const used = new Map<number, number>();
  for (const line of text.split('\n')) {
    const [, pid, memory] = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(line) ?? [];
    if (pid !== undefined) used.set(Number(pid), (used.get(Number(pid)) ?? 0) + Number(memory) * MEBIBYTE);
  }
  return used;
}
