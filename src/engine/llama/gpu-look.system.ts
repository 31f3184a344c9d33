import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EngineGpus, GpuUse } from '#engine/gpu.ts';
import type { Log } from '#kernel/log.ts';
import { visibleTo } from './gpu-files.ts';
import { type GpuLook, readFoundGpus } from './gpu-look.contract.ts';
import type { Sandbox } from './sandbox.system.ts';

const LOOK = fileURLToPath(import.meta.resolve('#engine/child/gpu-look.llama.ts'));
/** A driver that was not awake takes seconds for each GPU. */
const LOOK_MS = 60_000;

/** Asks the engine, in a child as walled in as a model's, which GPUs a model of this kind finds. Null where it does not say. */
export async function lookForGpus(use: GpuUse, sandbox: Sandbox, log: Log): Promise<EngineGpus | null> {
  const [file = process.execPath, ...args] = sandbox.command(LOOK, 'gpus');
  const child = spawn(file, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...sandbox.environment('gpus'), ...visibleTo(use) },
  });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-1000);
  });
  const { promise, resolve } = Promise.withResolvers<EngineGpus | null>();
  const timer = setTimeout(() => resolve(null), LOOK_MS);
  child.once('message', (value) => resolve(readFoundGpus(value)));
  child.once('error', () => resolve(null));
  child.once('close', () => resolve(null));
  child.send({ gpu: use.gpu } satisfies GpuLook, () => {});
  const found = await promise;
  clearTimeout(timer);
  child.kill('SIGKILL');
  if (found === null) log.warn('the engine does not say which GPUs it finds', { state: use.gpu, error: words });
  return found;
}
