import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GgufFault } from '#engine/gguf/gguf-figures.ts';
import { checkGguf } from '#engine/gguf/gguf-header.ts';
import { headerOf, type Mutation, mutations } from '../test/fakes/gguf-mutations.ts';

const SOUND = fileURLToPath(new URL('../models/demo/scripted.gguf', import.meta.url));
const LOADER = fileURLToPath(new URL('./gguf-loader.ts', import.meta.url));
const MOST_MS = 5000;

/** What came of each spoilt file. `killed` and `stuck` cost a disposable process; `slow` and `broke` would be ours. */
export interface MutationFigures {
  refusedByUs: number;
  refusedByEngine: number;
  loaded: number;
  killed: string[];
  stuck: string[];
  /** Our own check threw something else than its fault, or took longer than it may. */
  broke: string[];
}

/** The one process that loads what our check lets through; a new one when it has gone. */
class Loader {
  #child: ChildProcess | null = null;

  async attempt(file: string): Promise<'loaded' | 'refused' | 'killed' | 'stuck'> {
    // One that ended after its answer, while it tidied up, is replaced like any other.
    if (this.#child !== null && isGone(this.#child)) this.#child = null;
    this.#child ??= await this.#start();
    const child = this.#child;
    const { promise, resolve } = Promise.withResolvers<'loaded' | 'refused' | 'killed' | 'stuck'>();
    const timer = setTimeout(() => resolve('stuck'), MOST_MS);
    const hear = (said: unknown) => resolve(said === 'loaded' ? 'loaded' : 'refused');
    const gone = () => resolve('killed');
    child.once('message', hear).once('exit', gone);
    child.send(file, () => {});
    const found = await promise;
    clearTimeout(timer);
    child.off('message', hear).off('exit', gone);
    if (found === 'killed' || found === 'stuck') {
      child.kill('SIGKILL');
      this.#child = null;
    }
    return found;
  }

  async #start(): Promise<ChildProcess> {
    for (let tries = 0; tries < 3; tries++) {
      const child = fork(LOADER, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
      await Promise.race([once(child, 'message'), once(child, 'exit')]);
      if (!isGone(child)) return child;
    }
    throw new Error('the loader does not start');
  }

  close(): void {
    this.#child?.disconnect();
  }
}

const isGone = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** @param engineEvery of what our check lets through, each so manieth is loaded by the real engine */
export async function tryMutations(
  seed: number,
  count: number,
  engineEvery: number,
  tell: () => void = () => undefined,
): Promise<MutationFigures> {
  const sound = await readFile(SOUND);
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-mutations-'));
  const figures: MutationFigures = { refusedByUs: 0, refusedByEngine: 0, loaded: 0, killed: [], stuck: [], broke: [] };
  const loader = new Loader();
  let passed = 0;
  try {
    for (const mutation of mutations(sound, headerOf(sound, 'blk.0.ffn_down.weight'), seed, count)) {
      tell();
      if (!(await passes(mutation, figures))) continue;
      if (passed++ % engineEvery !== 0) continue;
      const file = join(folder, 'spoilt.gguf');
      await writeFile(file, mutation.bytes);
      const found = await loader.attempt(file);
      if (found === 'loaded') figures.loaded++;
      else if (found === 'refused') figures.refusedByEngine++;
      else figures[found].push(mutation.name);
    }
  } finally {
    loader.close();
    await rm(folder, { recursive: true, force: true });
  }
  return figures;
}

async function passes({ name, bytes }: Mutation, figures: MutationFigures): Promise<boolean> {
  const began = performance.now();
  try {
    await checkGguf(async (offset, length) => bytes.subarray(offset, offset + length), bytes.length);
    if (performance.now() - began > MOST_MS) figures.broke.push(`${name}: slow`);
    return true;
  } catch (error) {
    figures.refusedByUs++;
    if (!(error instanceof GgufFault)) figures.broke.push(`${name}: ${error}`);
    return false;
  }
}

export async function runGgufMutations([count = '10000', seed = '7']: readonly string[]): Promise<void> {
  let done = 0;
  const figures = await tryMutations(Number(seed), Number(count), 1, () => {
    if (++done % 1000 === 0) process.stderr.write(`${done}\n`);
  });
  const { killed, stuck, broke, ...numbers } = figures;
  process.stdout.write(
    `${JSON.stringify({ count: Number(count), seed: Number(seed), ...numbers, killed: killed.length, stuck: stuck.length, broke: broke.length })}\n`,
  );
  for (const name of [...killed, ...stuck, ...broke]) process.stdout.write(`  ${name}\n`);
  if (broke.length > 0) process.exitCode = 1;
}
