/**
 * The main of the process that holds one model. Started by `process.llama.ts`, spoken to over IPC, and expendable: what
 * a hostile file, template or grammar can break ends here.
 */
import {
  InsufficientMemoryError,
  type Llama,
  type LlamaContext,
  type LlamaContextSequence,
  type LlamaGrammar,
} from 'node-llama-cpp';
import { checkAdapter } from '#engine/gguf/gguf-adapter.ts';
import { DraftFault } from '#engine/gguf/gguf-draft.ts';
import { readGguf } from '#engine/gguf/gguf-entries.ts';
import { GgufFault, SplitFault } from '#engine/gguf/gguf-figures.ts';
import { checkGguf } from '#engine/gguf/gguf-header.ts';
import { GGUF_LIMITS } from '#engine/gguf/gguf-reader.ts';
import { NOTHING_MEASURED } from '#engine/llama/port.llama.ts';
import {
  type ChildMessage,
  type EmbedMessage,
  type GenerateMessage,
  type LoadFailure,
  type LoadMessage,
  readParentMessage,
} from '#engine/llama/protocol.contract.ts';
import { paramOf, Refusal } from '#engine/refusal.ts';
import { gpuBytes, openBackend } from './backend.llama.ts';
import { BatchFigures, LibraryBatches } from './batch.llama.ts';
import { openDrafter } from './drafter.llama.ts';
import { Driver } from './driver.llama.ts';
import { openEmbedder } from './embedder.llama.ts';
import { Generation, type GenerationTools } from './generation.llama.ts';
import { LoadError, openVerified, templateOf } from './model-file.llama.ts';
import { Outlet } from './outlet.ts';
import { openPromptRenderer, type PromptRenderer } from './prompt.llama.ts';
import { REMEMBERING } from './sequence-state.llama.ts';
import { SpentMemory } from './spent-memory.ts';
import { type WarmPrefix, warm } from './warm-prefix.llama.ts';
import { type WarmUp, warmUpFor } from './warm-up.ts';

const BEAT_MS = 1000;
const BATCH_SIZE = 512;
const GRAMMARS_KEPT = 32;

const now = (): number => performance.now();
const send = (message: ChildMessage): void => void process.send?.(message);
/** Standard error is read by the parent into its log; it never holds a prompt or an answer. */
const report = (error: unknown): void => void process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);

/** What computes: answers, or vectors. */
interface Worker {
  /** @throws Refusal, before anything was computed */
  add(message: GenerateMessage | EmbedMessage): void;
  extend(id: number, total: number, final: boolean): void;
  cancel(id: number): void;
}

/** What is loaded. */
interface Loaded extends Worker {
  readonly backend: string;
  /** Release of llama.cpp. */
  readonly build: string;
  readonly layers: { readonly onGpu: number; readonly of: number };
  gpuMemory(): number;
}

/** Often enough for a bar, seldom enough to cost nothing. */
const PROGRESS_MS = 200;

/** What llama.cpp and its backends write when an allocation fails; the library's own error does not say why. */
const OUT_OF_MEMORY = /failed to allocate|out of memory|unable to allocate/i;
let ranOut = false;
const hear = (text: string): void => {
  ranOut ||= OUT_OF_MEMORY.test(text);
  report(text.trimEnd());
};

async function load(message: LoadMessage): Promise<Loaded> {
  const progress = throttled((done) => send({ t: 'progress', phase: 'verify', done }));
  await using file = await openVerified(message.model, progress);
  await using adapter = message.adapter === null ? null : await openVerified(message.adapter, progress);
  await using draft = message.draft === null ? null : await openVerified(message.draft, progress);
  send({ t: 'verified' });
  const facts = await checkGguf(file.readAt, file.size);
  if (adapter !== null) checkAdapter(await readGguf(adapter.readAt, adapter.size, GGUF_LIMITS), facts);
  const template = message.embedding ? '' : templateOf(message, facts.chatTemplate);

  const { llama, name: backend } = await openBackend(message, hear);
  // The parent's open file, so that the bytes parsed are those that were verified, wherever its name points by now.
  const model = await llama.loadModel({
    modelPath: message.model.file,
    gpuLayers: message.gpuLayers ?? 'auto',
    checkTensors: message.probe,
    onLoadProgress: throttled((done) => send({ t: 'progress', phase: 'load', done })),
  });
  if (message.contextSize > model.trainContextSize) {
    throw new LoadError('context_too_large', `the model was trained for ${model.trainContextSize} tokens`);
  }
  const layers = { onGpu: model.gpuLayers, of: model.fileInsights.totalLayers };
  const engine = { layers, backend, build: llama.llamaCppRelease.release, gpuMemory: () => gpuBytes(llama) };
  if (message.embedding) {
    const embedder = await openEmbedder(model, message, { send, report });
    setInterval(() => send({ t: 'beat', ...NOTHING_MEASURED, steps: embedder.steps }), BEAT_MS);
    return { add: embedder.add, extend: embedder.extend, cancel: embedder.cancel, ...engine };
  }
  const figures = new BatchFigures();
  const context = await model.createContext({
    sequences: message.parallel + message.systemPrompts.length,
    contextSize: message.contextSize,
    batchSize: BATCH_SIZE,
    threads: message.threads,
    batching: { itemPrioritizationStrategy: figures.inOrder },
    flashAttention: message.flashAttention,
    experimentalKvCacheKeyType: KV_TYPES[message.kvType],
    experimentalKvCacheValueType: KV_TYPES[message.kvType],
    failedCreationRemedy: false,
    ...(message.adapter === null
      ? {}
      : { lora: { adapters: [{ filePath: message.adapter.file, scale: message.adapter.scale }] } }),
  });
  const prompts = openPromptRenderer(model, template, message.contextSize);
  let listener = send;
  const outlet = new Outlet<ChildMessage>((words) => listener(words));
  const sequences = sequencesOf(context, message.parallel);
  const batches = new LibraryBatches(context, model, sequences, figures);
  const [first] = sequences;
  const drafter = draft === null || !first ? null : await openDrafter(llama, message, draft, facts, first);
  const driver = new Driver({
    sequences,
    warm: await warmAll(message, context, prompts),
    drafter,
    prefillChunk: message.prefillChunk,
    maxBatchSize: message.maxBatchSize,
    maxWaitMs: message.maxWaitMs,
    batchSize: BATCH_SIZE,
    batches,
    outlet,
    now,
    report,
  });
  setInterval(() => {
    const { batches, sequences, largestBatch } = figures;
    const { foreseen, right, costs } = drafter?.pace ?? NOTHING_MEASURED;
    send({ t: 'beat', steps: driver.steps, batches, sequences, largestBatch, foreseen, right, costs });
  }, BEAT_MS);
  const grammar = grammarCache(llama);
  const tools = {
    model,
    prompts,
    contextSize: message.contextSize,
    foresees: drafter !== null,
    grammar,
    send: outlet.send,
    batches,
    now,
    // After the step that is being put together has gone to other threads.
    spent: new SpentMemory(facts.vocabulary, () => void setImmediate(() => globalThis.gc?.())),
  };
  const warmUp = warmUpFor({ ...message, backend });
  if (warmUp !== null) {
    const made = makeTokens(warmUp, driver, tools, (to) => {
      listener = to;
    });
    // On trial it has to work; else the first user learns what is wrong.
    await (message.probe ? made : made.catch(report));
    listener = send;
  }
  return {
    add: (work) => {
      if (work.t !== 'generate') throw new Refusal('invalid_parameter', 'This model makes no vectors.');
      driver.add(new Generation(work, tools));
    },
    extend: driver.extend.bind(driver),
    cancel: driver.cancel.bind(driver),
    ...engine,
  };
}

/** The library's names for what keys and values are kept as. */
const KV_TYPES = { f16: 'F16', q8_0: 'Q8_0', q4_0: 'Q4_0' } as const;

function throttled(tell: (done: number) => void): (done: number) => void {
  let told = now();
  return (done) => {
    if (now() - told < PROGRESS_MS) return;
    told = now();
    tell(Math.min(1, Math.max(0, done)));
  };
}

/** An answer to nobody, through everything that an answer goes through. */
function makeTokens(
  { content, maxTokens }: WarmUp,
  driver: Driver,
  tools: GenerationTools,
  hear: (listener: typeof send) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  hear((message) => {
    if (message.t === 'finished') resolve();
    if (message.t === 'failed') reject(new Error(message.message));
  });
  const sampling = { maxTokens, temperature: 0, topP: 1, seed: 0, stop: [], grammar: null, stream: false };
  const messages = [{ role: 'user' as const, content }];
  driver.add(
    new Generation({ t: 'generate', id: 1, subject: '', messages, ...sampling, credit: tools.contextSize }, tools),
  );
  return promise;
}

/** Handed out in ascending order of their ids. */
function sequencesOf(context: LlamaContext, count: number): LlamaContextSequence[] {
  return Array.from({ length: count }, () => context.getSequence(REMEMBERING));
}

/** Behind the sequences that answer, so that those stay adjacent. */
async function warmAll(
  { systemPrompts }: LoadMessage,
  context: LlamaContext,
  prompts: PromptRenderer,
): Promise<WarmPrefix[]> {
  const prefixes: WarmPrefix[] = [];
  for (const text of systemPrompts) prefixes.push(await warm(text, context.getSequence(REMEMBERING), prompts));
  return prefixes;
}

/** The same few schemas come again and again. */
function grammarCache(llama: Llama): GenerationTools['grammar'] {
  const known = new Map<string, LlamaGrammar>();
  return async (text) => {
    const grammar = known.get(text) ?? (await llama.createGrammar({ grammar: text }));
    known.delete(text);
    known.set(text, grammar);
    const oldest = known.keys().next().value;
    if (known.size > GRAMMARS_KEPT && oldest !== undefined) known.delete(oldest);
    return grammar;
  };
}

function explain(error: unknown): { reason: LoadFailure; detail: string } {
  const detail = (error instanceof Error ? error.message : String(error)).slice(0, 2000);
  if (error instanceof SplitFault) return { reason: 'split', detail };
  if (error instanceof GgufFault) return { reason: 'malformed', detail };
  if (error instanceof DraftFault) return { reason: 'draft', detail };
  if (error instanceof LoadError) return { reason: error.reason, detail };
  return { reason: ranOut || error instanceof InsufficientMemoryError ? 'out_of_memory' : 'failed', detail };
}

let loaded: Loaded | undefined;

async function receive(value: unknown): Promise<void> {
  const message = readParentMessage(value);
  if (message === null) throw new Error('message outside the protocol');
  if (message.t === 'load') {
    try {
      loaded = await load(message);
      const { backend, build, layers } = loaded;
      send(message.probe ? { t: 'probed' } : { t: 'ready', backend, build, layers, gpuMemory: loaded.gpuMemory() });
    } catch (error) {
      report(error);
      // The parent ends this process when it has read why.
      send({ t: 'load_failed', ...explain(error) });
    }
    return;
  }
  if (loaded === undefined) throw new Error('generation before load');
  if (message.t === 'credit') {
    loaded.extend(message.id, message.total, message.final);
    return;
  }
  if (message.t === 'cancel') {
    loaded.cancel(message.id);
    return;
  }
  try {
    loaded.add(message);
  } catch (error) {
    const refused = error instanceof Refusal;
    if (!refused) report(error);
    const text = refused ? error.message : 'The conversation does not fit the chat template of this model.';
    const { code, param } = refused ? error : { code: 'invalid_parameter' as const, param: undefined };
    send({ t: 'failed', id: message.id, code, param: param ?? paramOf(message), message: text });
  }
}

process.on('message', (value) => {
  receive(value).catch((error: unknown) => {
    report(error);
    process.exit(70);
  });
});
// The gateway is gone: so are we.
process.on('disconnect', () => process.exit(0));
