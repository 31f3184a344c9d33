/** One GPU as nvidia-smi shows it. */
export interface Gpu {
  readonly index: number;
  /** `GPU-…`, which names it wherever it is put. */
  readonly uuid: string;
  readonly driver: string;
  readonly name: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
}

const MEBIBYTE = 1024 * 1024;

export const GPU_QUERY = '--query-gpu=index,uuid,driver_version,name,memory.total,memory.used';
export const GPU_USE_QUERY = '--query-compute-apps=pid,used_memory';
export const GPU_FORMAT = '--format=csv,noheader,nounits';

/** {@link GPU_QUERY}. Lines that are not one are left out: a GPU that shares the machine's memory has no figure of its own. */
export function readGpus(text: string): Gpu[] {
  return text.split('\n').flatMap((line) => {
    const [index, uuid, driver, name, total, used] = line.split(',').map((part) => part.trim());
    if (![index, total, used].every((figure) => /^\d+$/.test(figure ?? ''))) return [];
    if (uuid === undefined || driver === undefined || name === undefined) return [];
    const figures = { totalBytes: Number(total) * MEBIBYTE, usedBytes: Number(used) * MEBIBYTE };
    return [{ index: Number(index), uuid, driver, name, ...figures }];
  });
}

/** {@link GPU_USE_QUERY}: bytes by process id, all GPUs together. What the driver does not tell is not there. */
export function readGpuUse(text: string): Map<number, number> {
  const used = new Map<number, number>();
  for (const line of text.split('\n')) {
    const [, pid, memory] = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(line) ?? [];
    if (pid !== undefined) used.set(Number(pid), (used.get(Number(pid)) ?? 0) + Number(memory) * MEBIBYTE);
  }
  return used;
}

/** Those that a process sees under this CUDA_VISIBLE_DEVICES: places or the beginnings of uuids; undefined: all. */
export function visibleGpus(gpus: readonly Gpu[], devices: string | undefined): readonly Gpu[] {
  if (devices === undefined) return gpus;
  const wanted = devices.split(',');
  return gpus.filter(({ index, uuid }) =>
    wanted.some((one) => one === String(index) || (one.startsWith('GPU-') && uuid.startsWith(one))),
  );
}
