import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { missingLibraries } from '#doctor/machine.system.ts';
import { watchGpus } from '#engine/gpu.system.ts';
import type { GpuUse } from '#engine/gpu.ts';
import { lookForGpus } from '#engine/llama/gpu-look.system.ts';
import { environmentFor, findPlaces, sandboxAt } from '#engine/llama/sandbox.system.ts';
import { silentLog } from '#kernel/log.ts';

/** What does the arithmetic on both sides; null: the processor. */
export type BenchGpu = 'cuda' | 'vulkan' | null;

/** `--gpu` alone is CUDA; what `parseArgs` can't say is said to it in full. */
export const spelledOut = (args: readonly string[]): string[] =>
  args.map((word) => (word === '--gpu' ? '--gpu=cuda' : word));

/** @throws Error for a word that is none of the ways */
export function readGpu(word: string | undefined): BenchGpu {
  if (word === undefined) return null;
  if (word === 'cuda' || word === 'vulkan') return word;
  throw new Error(`--gpu=${word}: cuda or vulkan`);
}

/** Both sides are given as many: all, or the same number. @throws Error for what is no number */
export function readLayers(word: string): number | 'all' {
  if (word === 'all') return word;
  if (!/^\d{1,4}$/.test(word)) throw new Error(`--layers=${word}: a number, or all`);
  return Number(word);
}

/** Whoever compiles for a GPU in his first seconds comes up late. */
export const patienceFor = (gpu: BenchGpu): number => (gpu === null ? 60_000 : 900_000);

const CUDA = {
  13: ['libcuda.so.1', 'libcudart.so.13', 'libcublas.so.13', 'libcublasLt.so.13'],
  12: ['libcuda.so.1', 'libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12'],
} as const;
const VULKAN = ['libvulkan.so.1'];

type Missing = (names: readonly string[]) => Promise<readonly string[]>;
const missingHere: Missing = (names) => missingLibraries(names, process.env['LD_LIBRARY_PATH'] ?? '');

/** Which of the package's two builds for CUDA runs here: the one for 13, or the other one where only 12 is installed. */
export async function cudaRelease(missing: Missing = missingHere): Promise<12 | 13 | null> {
  if ((await missing(CUDA[13])).length === 0) return 13;
  return (await missing(CUDA[12])).length === 0 ? 12 : null;
}

/** @throws Error that names what this machine lacks, before anything was compiled or started */
export async function requireGpu(gpu: BenchGpu, missing: Missing = missingHere): Promise<void> {
  if (gpu === 'vulkan') {
    const [absent] = await missing(VULKAN);
    if (absent !== undefined)
      throw new Error(`--gpu=vulkan: ${absent} is not found: install the loader and the GPU's driver for Vulkan`);
  }
  if (gpu === 'cuda' && (await cudaRelease(missing)) === null) {
    const absent = (await missing(CUDA[13])).join(', ');
    throw new Error(
      `--gpu: ${absent} not found: install the driver and the runtime and cuBLAS of CUDA 13 (or 12), or name their folder in LD_LIBRARY_PATH`,
    );
  }
}

/** Kept from run to run, one folder for each side: else a GPU compiles again each time. */
export function kernelFolder(gpu: BenchGpu, side: 'strongroom' | 'llama-server'): NodeJS.ProcessEnv {
  if (gpu === null) return {};
  const folder = process.env['CUDA_CACHE_PATH'] ?? join(import.meta.dirname, '.cache', 'kernels');
  const own = side === 'strongroom' ? folder : join(folder, side);
  mkdirSync(own, { recursive: true });
  return { CUDA_CACHE_PATH: own, MESA_SHADER_CACHE_DIR: own };
}

/** What does it, for the result: as nvidia-smi says, else as the engine does. @throws Error where the engine finds none */
export async function findGpus(gpu: BenchGpu, ask: typeof askEngine = askEngine): Promise<readonly string[]> {
  if (gpu === null) return [];
  const found = await ask(gpu);
  if (found.length === 0)
    throw new Error(`--gpu: the engine finds no GPU by ${gpu}; strongroom doctor says what is missing`);
  using watch = await watchGpus();
  const known = gpu === 'cuda' ? watch.gpus().map(({ name, driver }) => `${name}, driver ${driver}`) : [];
  return known.length > 0 ? known : found;
}

async function askEngine(gpu: GpuUse['gpu']): Promise<readonly string[]> {
  const choice = { level: 'process', network: 'open', faults: [] } as const;
  const sandbox = sandboxAt(choice, findPlaces(process.env), environmentFor(process.env));
  return (await lookForGpus({ gpu }, sandbox, silentLog))?.names ?? [];
}

/** `offloaded 17/17 layers to GPU` in llama-server's log; null where it says nothing of it. */
export const layersIn = (log: string): string | null => /offloaded (\d+\/\d+) layers to GPU/.exec(log)?.[1] ?? null;
