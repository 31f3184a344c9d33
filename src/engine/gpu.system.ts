import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { GPU_FORMAT, GPU_QUERY, GPU_USE_QUERY, type Gpu, readGpus, readGpuUse } from './gpu.ts';

const execute = promisify(execFile);
const QUERY_MS = 5000;
const REFRESH_MS = 5000;

/** What nvidia-smi says, at most five seconds old. Empty where there is none. */
export interface GpuWatch extends Disposable {
  gpus(): readonly Gpu[];
  /** Null where the driver does not tell, as in most containers. */
  usedBy(pid: number): number | null;
}

/** Runs nvidia-smi with these words and gives what it writes; null on a machine without the driver. */
export type GpuTool = ((...words: readonly string[]) => Promise<string>) | null;

/** The machine's own. */
export function gpuTool(): GpuTool {
  if (!existsSync('/dev/nvidiactl')) return null;
  return async (...words) => (await execute('nvidia-smi', words, { timeout: QUERY_MS })).stdout;
}

/** Never rejects: a machine whose driver does not answer is a machine without a GPU. */
export async function watchGpus(tool: GpuTool = gpuTool()): Promise<GpuWatch> {
  let gpus: readonly Gpu[] = [];
  let used: ReadonlyMap<number, number> = new Map();
  const look = async (ask: NonNullable<GpuTool>) => {
    try {
      gpus = readGpus(await ask(GPU_QUERY, GPU_FORMAT));
      used = readGpuUse(await ask(GPU_USE_QUERY, GPU_FORMAT));
    } catch {
      [gpus, used] = [[], new Map()];
    }
  };
  if (tool !== null) await look(tool);
  const timer = tool === null ? undefined : setInterval(() => void look(tool), REFRESH_MS).unref();
  return {
    gpus: () => gpus,
    usedBy: (pid) => used.get(pid) ?? null,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
