import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Gpu, readGpus, readGpuUse } from './gpu.ts';

const run = promisify(execFile);
const QUERY_MS = 5000;
const REFRESH_MS = 5000;
const FORMAT = '--format=csv,noheader,nounits';

/** What nvidia-smi says, at most five seconds old. Empty where there is none. */
export interface GpuWatch extends Disposable {
  gpus(): readonly Gpu[];
  usedBy(pid: number): number | null;
}

async function ask(query: string): Promise<string> {
  const { stdout } = await run('nvidia-smi', [query, FORMAT], { timeout: QUERY_MS });
  return stdout;
}

/** Never rejects: a machine whose driver does not answer is a machine without a GPU. */
export async function watchGpus(): Promise<GpuWatch> {
  let gpus: readonly Gpu[] = [];
  let used: ReadonlyMap<number, number> = new Map();
  const look = async () => {
    try {
      gpus = readGpus(await ask('--query-gpu=index,name,memory.total,memory.used'));
      used = readGpuUse(await ask('--query-compute-apps=pid,used_memory'));
    } catch {
      gpus = [];
    }
  };
  const isThere = existsSync('/dev/nvidiactl');
  if (isThere) await look();
  const timer = isThere ? setInterval(() => void look(), REFRESH_MS).unref() : undefined;
  return {
    gpus: () => gpus,
    usedBy: (pid) => used.get(pid) ?? null,
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
