import type { GpuChoice } from './model-spec.ts';

/** One GPU as nvidia-smi shows it, or all those together that the engine finds where nvidia-smi shows none. */
export interface Gpu {
  readonly index: number;
  /** `GPU-…`, which names it wherever it is put. */
  readonly uuid: string;
  readonly driver: string;
  readonly name: string;
  readonly totalBytes: number;
  /** Null where nobody tells. */
  readonly usedBytes: number | null;
  /**
   * `sliced`: cut up by MIG; nobody computes on the whole, and what a slice has is not told here. `shared`: its memory is
   * the machine's. Absent: whole, with memory of its own.
   */
  readonly kind?: 'sliced' | 'shared';
}

/** By what a model finds its GPUs. */
export interface GpuUse {
  readonly gpu: GpuChoice;
  /** As `CUDA_VISIBLE_DEVICES` names them; absent: all. */
  readonly devices?: string;
  /** As Vulkan numbers them; absent: all. */
  readonly vulkanDevices?: string;
}

/** What the engine itself finds for a {@link GpuUse}, all its GPUs together. */
export interface EngineGpus {
  readonly backend: string;
  readonly names: readonly string[];
  readonly totalBytes: number;
  /** Of it, what is the machine's own memory. */
  readonly sharedBytes: number;
}

const MEBIBYTE = 1024 * 1024;

export const GPU_QUERY = '--query-gpu=index,uuid,driver_version,name,memory.total,memory.used,mig.mode.current';
export const GPU_USE_QUERY = '--query-compute-apps=pid,used_memory';
export const GPU_FORMAT = '--format=csv,noheader,nounits';

/**
 * {@link GPU_QUERY}. Lines without a size are left out: a GPU that shares the machine's memory, or is in a bad state. What
 * is in use may be nobody's to know, as with MIG: `[Insufficient Permissions]`.
 */
export function readGpus(text: string): Gpu[] {
  return text.split('\n').flatMap((line) => {
    const [index, uuid, driver, name, total, used, mig] = line.split(',').map((part) => part.trim());
    if (uuid === undefined || driver === undefined || name === undefined) return [];
    const [place, size, taken] = [figure(index), figure(total), figure(used)];
    if (place === null || size === null) return [];
    const figures = { totalBytes: size * MEBIBYTE, usedBytes: taken === null ? null : taken * MEBIBYTE };
    return [
      { index: place, uuid, driver, name, ...figures, ...(mig === 'Enabled' ? { kind: 'sliced' as const } : {}) },
    ];
  });
}

const figure = (text: string | undefined): number | null => (/^\d+$/.test(text ?? '') ? Number(text) : null);

/** {@link GPU_USE_QUERY}: bytes by process id, all GPUs together. What the driver does not tell is not there. */
export function readGpuUse(text: string): Map<number, number> {
  const used = new Map<number, number>();
  for (const line of text.split('\n')) {
    const [, pid, memory] = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(line) ?? [];
    if (pid !== undefined) used.set(Number(pid), (used.get(Number(pid)) ?? 0) + Number(memory) * MEBIBYTE);
  }
  return used;
}

/**
 * Those of which nvidia-smi tells what a model has that uses them: by the places or the beginnings of the uuids that
 * CUDA_VISIBLE_DEVICES names. Vulkan numbers them otherwise, so that there it is all.
 */
export function visibleGpus(gpus: readonly Gpu[], { gpu, devices }: GpuUse): readonly Gpu[] {
  if (gpu === 'cpu') return [];
  const whole = gpus.filter(({ kind }) => kind === undefined);
  if (devices === undefined || gpu === 'vulkan') return whole;
  const wanted = devices.split(',');
  return whole.filter(({ index, uuid }) =>
    wanted.some((one) => one === String(index) || (one.startsWith('GPU-') && uuid.startsWith(one))),
  );
}

/**
 * What the engine found, as one GPU behind those that are known; null where that is none. By itself a model does not go to one
 * that Vulkan finds in the processor's own chip: it is seldom faster there, and not asked for.
 */
export function engineGpu(
  { backend, names, totalBytes, sharedBytes }: EngineGpus,
  use: GpuUse,
): Omit<Gpu, 'index'> | null {
  if (names.length === 0) return null;
  const isShared = sharedBytes >= totalBytes;
  if (use.gpu === 'auto' && backend === 'vulkan' && isShared) return null;
  const devices = backend === 'vulkan' ? use.vulkanDevices : use.devices;
  const name = names.join(', ');
  return {
    uuid: [backend, devices ?? 'all', name].join(' '),
    driver: backend,
    name,
    totalBytes: isShared ? totalBytes : totalBytes - sharedBytes,
    usedBytes: null,
    ...(isShared ? { kind: 'shared' } : {}),
  };
}
