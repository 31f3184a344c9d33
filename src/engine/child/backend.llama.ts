import { getLlama, type Llama, LlamaLogLevel, NoBinaryFoundError } from 'node-llama-cpp';
import type { LoadMessage } from '#engine/llama/protocol.contract.ts';
import { LoadError } from './model-file.llama.ts';

/** What does the arithmetic. */
export interface Backend {
  readonly llama: Llama;
  /** `cpu` wherever there is no GPU, whatever library was loaded in the hope of one. */
  readonly name: string;
  /** Names of its GPUs. */
  readonly gpus: readonly string[];
}

/**
 * Loads the engine's library for a choice of processor. The loader of a GPU's driver may be here without a GPU: the library
 * then opens, and computes on the processor.
 *
 * @param hear what the library writes; never a prompt or an answer
 * @throws LoadError `no_backend` where a GPU was asked for by name and there is none
 */
export async function openBackend(
  { gpu, threads }: Pick<LoadMessage, 'gpu' | 'threads'>,
  hear: (text: string) => void,
): Promise<Backend> {
  const llama = await openLibrary(gpu, threads, hear);
  const gpus = llama.gpu === false ? [] : await llama.getGpuDeviceNames();
  if (gpus.length > 0) return { llama, gpus, name: String(llama.gpu) };
  if (gpu === 'cuda' || gpu === 'vulkan') throw new LoadError('no_backend', `no GPU for '${gpu}'`);
  return { llama, gpus, name: 'cpu' };
}

async function openLibrary(gpu: LoadMessage['gpu'], threads: number, hear: (text: string) => void): Promise<Llama> {
  try {
    return await getLlama({
      gpu: gpu === 'cpu' ? false : gpu,
      // Never a compiler, never a download: what is not installed is not there.
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      maxThreads: threads,
      logLevel: LlamaLogLevel.error,
      logger: (_level, text) => hear(text),
    });
  } catch (error) {
    if (error instanceof NoBinaryFoundError) throw new LoadError('no_backend', `no engine for gpu '${gpu}'`);
    throw error;
  }
}

interface Counting {
  readonly _vramOrchestrator?: { readonly markedMemory?: number };
}

/** What llama.cpp says of all that was loaded so far: bytes on GPUs, without what their driver takes for a process. */
export const gpuBytes = (llama: Llama): number => (llama as unknown as Counting)._vramOrchestrator?.markedMemory ?? 0;
