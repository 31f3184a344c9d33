import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Log, silentLog } from '#kernel/log.ts';
import {
  type EngineGpus,
  engineGpu,
  GPU_FORMAT,
  GPU_QUERY,
  GPU_USE_QUERY,
  type Gpu,
  type GpuUse,
  readGpus,
  readGpuUse,
  visibleGpus,
} from './gpu.ts';

const QUERY_MS = 5000;
const REFRESH_MS = 5000;

/** What nvidia-smi says, at most some seconds old, and what the engine finds beside it. */
export interface GpuWatch extends Disposable {
  gpus(): readonly Gpu[];
  /** Those whose memory a model of this kind is put into. */
  seenBy(use: GpuUse): readonly Gpu[];
  /** Null where the driver does not tell, as in most containers. */
  usedBy(pid: number): number | null;
}

/** Runs nvidia-smi with these words and gives what it writes; null on a machine without the driver. */
export type GpuTool = ((...words: readonly string[]) => Promise<string>) | null;

/** The driver is loaded; its device files may be made by the first program that asks for them, which is this one then. */
const SIGNS = ['/dev/nvidiactl', '/proc/driver/nvidia/version'];

/** The machine's own. */
export const gpuTool = (signs: readonly string[] = SIGNS): GpuTool =>
  signs.some((path) => existsSync(path)) ? toolAt('nvidia-smi', QUERY_MS) : null;

/**
 * A program that is given so many milliseconds. Where the driver hangs it does not even die when it is killed: then it is
 * not started again before it is gone.
 */
export function toolAt(program: string, milliseconds: number): NonNullable<GpuTool> {
  let stuck: ChildProcess | null = null;
  return async (...words) => {
    if (stuck !== null) throw new Error(`${program} hangs`);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const child = execFile(program, words, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
    const timer = setTimeout(() => {
      stuck = child;
      child.once('exit', () => (stuck = null)).kill('SIGKILL');
      child.stdout?.destroy();
      child.unref();
      reject(new Error(`${program} gave no answer`));
    }, milliseconds);
    return promise.finally(() => clearTimeout(timer));
  };
}

/**
 * Never rejects: a machine whose driver does not answer is a machine without a GPU. One that has answered keeps its GPUs, and
 * only who uses them is not known any more: a model that is loaded in such a moment is not put on the processor for it.
 */
export async function watchGpus(tool: GpuTool = gpuTool(), log: Log = silentLog): Promise<GpuWatch> {
  let gpus: readonly Gpu[] = [];
  let used: ReadonlyMap<number, number> = new Map();
  let isWell = true;
  const look = async (ask: NonNullable<GpuTool>) => {
    try {
      gpus = readGpus(await ask(GPU_QUERY, GPU_FORMAT));
      used = readGpuUse(await ask(GPU_USE_QUERY, GPU_FORMAT));
      isWell = true;
    } catch (error) {
      used = new Map();
      gpus = gpus.map((gpu) => ({ ...gpu, usedBytes: null }));
      if (isWell) log.warn('nvidia-smi does not tell of the GPUs', { error });
      isWell = false;
    }
  };
  if (tool !== null) await look(tool);
  const again = (ask: NonNullable<GpuTool>): NodeJS.Timeout =>
    setTimeout(() => void look(ask).then(() => (timer = isClosed ? undefined : again(ask))), REFRESH_MS).unref();
  let isClosed = false;
  let timer = tool === null ? undefined : again(tool);
  return {
    gpus: () => gpus,
    seenBy: (use) => visibleGpus(gpus, use),
    usedBy: (pid) => used.get(pid) ?? null,
    [Symbol.dispose]: () => {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/**
 * The same, and what the engine itself finds for those models that nvidia-smi shows no GPU for: on other makers' GPUs, a slice of
 * NVIDIA's, or in a container without that program. Each is asked once.
 *
 * @param ask runs the engine; null where that did not work
 */
export async function withEngineGpus(
  watch: GpuWatch,
  uses: readonly GpuUse[],
  ask: (use: GpuUse) => Promise<EngineGpus | null>,
): Promise<GpuWatch> {
  const unseen = new Map(
    uses.filter((use) => use.gpu !== 'cpu' && watch.seenBy(use).length === 0).map((use) => [keyOf(use), use]),
  );
  const found = new Map<string, Gpu>();
  const byUse = new Map<string, Gpu>();
  const first = Math.max(-1, ...watch.gpus().map(({ index }) => index)) + 1;
  const asked = await Promise.all(Array.from(unseen, async ([key, use]) => ({ key, use, gpus: await ask(use) })));
  for (const { key, use, gpus } of asked) {
    const seen = gpus === null ? null : engineGpu(gpus, use);
    if (seen === null) continue;
    // Found by two roads it is one.
    const gpu = found.get(seen.uuid) ?? { index: first + found.size, ...seen };
    found.set(gpu.uuid, gpu);
    byUse.set(key, gpu);
  }
  return {
    gpus: () => [...watch.gpus(), ...found.values()],
    seenBy: (use) => {
      const own = byUse.get(keyOf(use));
      return own === undefined ? watch.seenBy(use) : [own];
    },
    usedBy: (pid) => watch.usedBy(pid),
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

const keyOf = ({ gpu, devices, vulkanDevices }: GpuUse): string => JSON.stringify([gpu, devices, vulkanDevices]);
