/** Runs in the sandbox, loads the engine without a model, says which GPUs it finds there, and ends. */

import { type FoundGpus, readGpuLook } from '#engine/llama/gpu-look.contract.ts';
import { openBackend } from './backend.llama.ts';
import { LoadError } from './model-file.llama.ts';

const NONE: FoundGpus = { backend: 'cpu', names: [], totalBytes: 0, sharedBytes: 0 };

async function look(value: unknown): Promise<FoundGpus> {
  const asked = readGpuLook(value);
  if (asked === null) throw new Error('message outside the protocol');
  try {
    const hear = (text: string): void => void process.stderr.write(`${text.trimEnd()}\n`);
    const { llama, name, gpus } = await openBackend({ gpu: asked.gpu, threads: 1 }, hear);
    if (gpus.length === 0) return NONE;
    const { total, unifiedSize } = await llama.getVramState();
    return { backend: name, names: [...gpus], totalBytes: total, sharedBytes: Math.min(total, unifiedSize) };
  } catch (error) {
    if (error instanceof LoadError) return NONE;
    throw error;
  }
}

process.once('message', async (value) => {
  const found = await look(value);
  process.send?.(found, () => process.exit(0));
});
