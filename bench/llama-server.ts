import { execFile } from 'node:child_process';
import { access, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child, comesUp, freePort } from './child.ts';
import { type BenchGpu, cudaRelease, kernelFolder, layersIn, patienceFor } from './gpu.ts';
import type { Absent } from './rivals.ts';

const run = promisify(execFile);
/** Built once for each release; git does not see it. */
const CACHE = join(import.meta.dirname, '.cache');
const BUILT = ['llama-server', 'libllama-server-impl.so', 'libmtmd.so'] as const;

/** What is measured on both sides. */
export interface EngineLoad {
  readonly file: string;
  readonly chatTemplateFile: string;
  /** Tokens of each conversation. */
  readonly contextSize: number;
  readonly parallel: number;
  readonly threads: number;
  readonly gpu: BenchGpu;
  /** Of them, on the GPU. */
  readonly layers: number | 'all';
}

export interface LlamaServer {
  readonly port: number;
  readonly pid: number;
  readonly release: string;
  /** What it says of the processor and the libraries in use. */
  readonly system: string;
  /** How many of how many layers lie on the GPU, as it says; null where it says nothing. */
  readonly layers: string | null;
}

/** A server program, and the libraries that node-llama-cpp computes with. */
interface Program {
  readonly folder: string;
  readonly libraries: string;
  /** In place of those of the same name: the build for CUDA 12. */
  readonly instead: string | null;
  readonly release: string;
}

/** Compiles llama.cpp's server where that has not been done; some minutes. */
export async function findLlamaServer(gpu: BenchGpu, say: (line: string) => void): Promise<Program | Absent> {
  const platform = `${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}${gpu === null ? '' : `-${gpu}`}`;
  // Neither package exports its files.
  const packages = join(import.meta.dirname, '..', 'node_modules');
  const sources = join(packages, 'node-llama-cpp', 'llama');
  const libraries = join(packages, '@node-llama-cpp', platform, 'bins', platform);
  if (!(await isThere(libraries)) || !(await isThere(join(sources, 'gitRelease.bundle'))))
    return { absent: `node-llama-cpp has no package for ${platform} here` };
  const { tag } = JSON.parse(await readFile(join(sources, 'llama.cpp.info.json'), 'utf8')) as { readonly tag: string };
  const folder = join(CACHE, `llama-server-${tag}-${platform}`);
  const older = join(packages, '@node-llama-cpp', `${platform}-ext`, 'bins', platform, 'fallback');
  const instead = gpu === 'cuda' && (await cudaRelease()) === 12 ? older : null;
  const program = { folder, libraries, instead, release: tag };
  if (await isThere(join(folder, BUILT[0]))) return program;
  for (const tool of ['cmake', 'c++', 'git']) {
    const found = await run(tool, ['--version']).then(
      () => true,
      () => false,
    );
    if (!found) return { absent: `${tool} is not installed; bench/install-build-tools.sh installs it` };
  }
  say(`compiling llama-server ${tag} from node-llama-cpp's sources: some minutes, once`);
  try {
    await build(program, join(sources, 'gitRelease.bundle'), gpu === null ? tag : `${gpu}.${tag}`);
  } catch (error) {
    return { absent: `llama-server does not compile here: ${(error as Error).message.slice(0, 500)}` };
  }
  return program;
}

async function build({ folder, libraries }: Program, bundle: string, release: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'strongroom-llama-server-'));
  const options = { maxBuffer: 1 << 28 };
  try {
    const sources = join(work, 'sources');
    await run('git', ['clone', '--quiet', bundle, sources], options);
    const flags = [`-DSOURCES=${sources}`, `-DLIBRARIES=${libraries}`, `-DRELEASE=${release}`];
    const recipe = join(import.meta.dirname, 'llama-server');
    await run('cmake', ['-S', recipe, '-B', join(work, 'out'), '-DCMAKE_BUILD_TYPE=Release', ...flags], options);
    const target = ['--target', 'llama-server', '--parallel', String(availableParallelism())];
    await run('nice', ['cmake', '--build', join(work, 'out'), ...target], options);
    await mkdir(CACHE, { recursive: true });
    // Whole or not at all: what is found there is taken for complete.
    const half = await mkdtemp(join(CACHE, 'half-'));
    for (const name of BUILT) await cp(join(work, 'out', 'bin', name), join(half, name));
    await rename(half, folder).catch(async (error: unknown) => {
      // Another run was there first.
      if (!(await isThere(join(folder, BUILT[0])))) throw error;
      await rm(half, { recursive: true });
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * Starts it on the libraries of the npm package, so that the kernels are the same as in the gateway's child: plain HTTP on the
 * loopback, no key, one slot for each conversation.
 */
export async function startLlamaServer(
  stack: AsyncDisposableStack,
  folder: string,
  program: Program,
  load: EngineLoad,
): Promise<LlamaServer> {
  // It looks for the libraries' variants beside itself, wherever a link to it lies.
  const home = await mkdtemp(join(folder, 'llama-server-'));
  for (const name of BUILT) await copyFile(join(program.folder, name), join(home, name));
  const older = program.instead === null ? [] : await readdir(program.instead);
  for (const name of await readdir(program.libraries)) {
    const from = older.includes(name) ? program.instead : program.libraries;
    if (name.endsWith('.so')) await symlink(join(from ?? '', name), join(home, name));
  }
  const port = await freePort();
  const numbers = {
    '--port': port,
    '--ctx-size': load.contextSize * load.parallel,
    '--parallel': load.parallel,
    '--threads': load.threads,
    '--threads-batch': load.threads,
    // As our child has it.
    '--batch-size': 512,
    '--ubatch-size': 512,
    '--n-gpu-layers': load.gpu === null ? 0 : load.layers === 'all' ? 999 : load.layers,
    // States of finished conversations, copied to and fro: nothing here comes back to one that has left its slot.
    '--cache-ram': 0,
  };
  const args = Object.entries(numbers).flatMap(([name, value]) => [name, String(value)]);
  const texts = ['--host', '127.0.0.1', '--model', load.file, '--chat-template-file', load.chatTemplateFile];
  const child = Child.run(
    stack,
    'llama-server',
    join(home, BUILT[0]),
    [...texts, ...args, '--jinja', '--no-ui', ...(load.gpu === null ? [] : ['--log-verbosity', '4'])],
    home,
    { ...process.env, ...kernelFolder(load.gpu, 'llama-server') },
  );
  await comesUp(
    child,
    async () => {
      const response = await fetch(`http://127.0.0.1:${port}/health`);
      if (!response.ok) throw new Error(`health: ${response.status}`);
    },
    patienceFor(load.gpu),
  );
  const log = child.log();
  const system = /system_info: .*/.exec(log)?.[0] ?? 'unknown';
  const layers = layersIn(log);
  // Without its GPU it serves from the processor, and says so in its log alone.
  if (load.gpu !== null && load.layers !== 0 && (layers ?? '0/').startsWith('0/'))
    throw new Error(`llama-server has put nothing on a GPU:\n${linesOnGpus(log)}`);
  return { port, pid: child.pid, release: program.release, system, layers };
}

/** What a log says of backends and devices, or its end where it says nothing. */
const linesOnGpus = (log: string): string => {
  const lines = log.split('\n').filter((line) => /cuda|vulkan|backend|no usable gpu|no device/i.test(line));
  return (lines.length > 0 ? lines.slice(0, 20) : log.split('\n').slice(-20)).join('\n');
};
