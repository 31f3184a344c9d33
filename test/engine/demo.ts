import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  Engine,
  FinishReason,
  GenerationDelta,
  GenerationEvent,
  GenerationRequest,
  Usage,
} from '#engine/engine.ts';
import { type FileMemory, forgetfulMemory } from '#engine/llama/file-memory.ts';
import { openLlamaModel } from '#engine/llama/model.llama.ts';
import type { LlamaDeps, LlamaEngine } from '#engine/llama/port.llama.ts';
import { environmentFor, findPlaces, sandboxAt } from '#engine/llama/sandbox.system.ts';
import type { LlamaModelSpec } from '#engine/model-spec.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { type DemoModelOptions, demoModel, SCRIPT } from '../../models/demo/make-demo-model.ts';
import { PAID } from '../fakes/credit.ts';

export const DEMO_FILE = fileURLToPath(new URL('../../models/demo/scripted.gguf', import.meta.url));
export const TEMPLATE_FILE = fileURLToPath(new URL('../../models/demo/chat-template.jinja', import.meta.url));
export const DEMO_TEXT = SCRIPT.join('');

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The committed model whose words are known beforehand: what tests talk to. */
export async function demoSpec(change: Partial<LlamaModelSpec> = {}): Promise<LlamaModelSpec> {
  return {
    id: 'demo',
    file: DEMO_FILE,
    sha256: sha256(await readFile(DEMO_FILE)),
    chatTemplate: await readFile(TEMPLATE_FILE, 'utf8'),
    contextSize: 1024,
    parallel: 2,
    maxOutputTokens: 256,
    threads: 1,
    gpu: 'cpu',
    ...change,
  };
}

interface MadeSpec {
  readonly spec: LlamaModelSpec;
  readonly remove: () => Promise<void>;
}

/** A model made for one test, in a folder that goes when the test is over. */
export const madeSpec = (made: DemoModelOptions, change: Partial<LlamaModelSpec> = {}): Promise<MadeSpec> =>
  writeModel(demoModel(made), change);

export async function writeModel(bytes: Uint8Array, change: Partial<LlamaModelSpec> = {}): Promise<MadeSpec> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-model-'));
  const file = join(folder, 'made.gguf');
  await writeFile(file, bytes);
  return {
    spec: await demoSpec({ file, sha256: sha256(bytes), ...change }),
    remove: () => rm(folder, { recursive: true }),
  };
}

/** What every machine has; the levels above it have tests of their own. */
export const TEST_SANDBOX = sandboxAt(
  { level: 'process', network: 'open', faults: [] },
  findPlaces(process.env),
  environmentFor(process.env),
);

/** The committed model has been probed in tests of that; the others need not wait for it. */
export const TEST_FILES: FileMemory = { ...forgetfulMemory(), isProbed: () => true };

export function openLlama(spec: LlamaModelSpec, deps: Partial<LlamaDeps> = {}): LlamaEngine {
  return openLlamaModel(spec, {
    log: silentLog,
    clock: systemClock,
    sandbox: TEST_SANDBOX,
    files: TEST_FILES,
    ...deps,
  });
}

export const NEVER = new AbortController().signal;

export function request(change: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    requestId: 'req_test',
    model: 'demo',
    messages: [{ role: 'user', content: 'What are you? 你好' }],
    temperature: 0,
    responseFormat: { type: 'text' },
    subject: 'usr_a',
    stream: true,
    credit: PAID,
    ...change,
  };
}

export interface Answer {
  readonly text: string;
  readonly reason: FinishReason;
  readonly usage: Usage;
  readonly promptTokens: number;
  readonly events: readonly GenerationEvent[];
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** All that a generation tells, in one sequence: at each delta the engine waits until the next event is asked for. */
export async function* told(
  engine: Pick<Engine, 'generate'>,
  asked: GenerationRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const deltas: { readonly delta: GenerationDelta; readonly answer: (isWanted: boolean) => void }[] = [];
  let wake = Promise.withResolvers<void>();
  const generation = engine.generate(asked, signal, (delta) => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    deltas.push({ delta, answer: resolve });
    wake.resolve();
    return promise;
  });
  try {
    for (;;) {
      const milestone = generation.next();
      const settled = milestone.then(
        () => {},
        () => {},
      );
      for (;;) {
        await Promise.race([settled, wake.promise]);
        const taken = deltas.shift();
        if (taken === undefined) break;
        wake = Promise.withResolvers();
        let isWanted = false;
        try {
          yield taken.delta;
          isWanted = true;
        } finally {
          taken.answer(isWanted);
        }
      }
      const { value, done } = await milestone;
      if (done) return;
      yield value;
    }
  } finally {
    await generation.return();
  }
}

/** Reads a generation to its end. */
export async function answer(
  engine: Engine,
  change: Partial<GenerationRequest> = {},
  signal: AbortSignal = NEVER,
): Promise<Answer> {
  const events = await collect(told(engine, request(change), signal));
  const first = events[0];
  const last = events.at(-1);
  if (first?.type !== 'started' || last?.type !== 'finished') throw new Error('generation without start or end');
  const text = events.map((event) => (event.type === 'delta' ? event.text : '')).join('');
  return { text, reason: last.reason, usage: last.usage, promptTokens: first.promptTokens, events };
}

/** Reads up to the first piece of text and leaves the generator suspended there. */
export async function untilFirstDelta(generation: AsyncGenerator<GenerationEvent>): Promise<void> {
  for (;;) {
    const { value, done } = await generation.next();
    if (done) throw new Error('ended before any text');
    if (value.type === 'delta') return;
  }
}

/** Waits for a state that must come; the runner's own limit ends a test in which it does not. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
