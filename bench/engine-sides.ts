import { createHash } from 'node:crypto';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Load, streamLoad } from './child.ts';
import type { StreamedAnswer } from './event-stream.ts';
import { type BenchGpu, findGpus, kernelFolder, patienceFor, requireGpu } from './gpu.ts';
import { type EngineLoad, findLlamaServer, startLlamaServer } from './llama-server.ts';
import { CHAT_TEMPLATE, writeMadeModel } from './made-model.ts';
import type { StreamJob, StreamResult } from './stream-job.ts';
import { type Strongroom, startStrongroom } from './strongroom.ts';

/** `made`: 254 M parameters of noise, so that arithmetic is what takes time. `demo`: ours, so small that the way to it does. */
export const MODELS = ['made', 'demo'] as const;
export type ModelName = (typeof MODELS)[number];
const DEMO_FILE = new URL('../models/demo/demo.gguf', import.meta.url).pathname;

export interface Shape {
  readonly models: readonly ModelName[];
  /** Tokens of each conversation. */
  readonly contextSize: number;
  readonly parallel: number;
  readonly threads: number;
  readonly gpu: BenchGpu;
  /** Of each model, on the GPU. */
  readonly layers: number | 'all';
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Question {
  readonly messages: readonly Message[];
  readonly maxTokens: number;
}

/** One of the two that are compared. */
export interface Side {
  readonly name: 'strongroom' | 'llama-server';
  /** All questions at once, each on a connection of its own. @throws Error unless every answer is whole */
  ask(model: ModelName, questions: readonly Question[]): Promise<readonly StreamedAnswer[]>;
}

export interface Sides {
  readonly strongroom: Strongroom;
  readonly ours: Side;
  /** Null where it can't be had. */
  readonly theirs: Side | null;
  readonly absent: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, string>>;
  readonly system: string;
  /** Those that were used, by name. */
  readonly gpus: readonly string[];
  /** Of each model, how many of how many layers lie there, as llama-server says. */
  readonly layers: Readonly<Record<string, string>>;
}

/** The whole gateway with both models, and a llama-server for each: same file, template, threads, contexts and batches. */
export async function startSides(
  stack: AsyncDisposableStack,
  folder: string,
  shape: Shape,
  say: (line: string) => void,
): Promise<Sides> {
  const { gpu } = shape;
  await requireGpu(gpu);
  const gpus = await findGpus(gpu);
  const found = await findLlamaServer(gpu, say);
  say('making the model, starting the gateway with both models');
  // The engine's child may be another user: it reads the model all the same.
  await chmod(folder, 0o755);
  const made = join(folder, 'made.gguf');
  await writeMadeModel(made);
  const files: Readonly<Record<ModelName, string>> = { made, demo: DEMO_FILE };
  const load = stack.use(streamLoad());
  const entries = shape.models.map(async (name) => [name, await entryOf(files[name], shapeOf(name, shape))] as const);
  const strongroom = await startStrongroom(stack, folder, 0, {
    models: Object.fromEntries(await Promise.all(entries)),
    environment: kernelFolder(gpu, 'strongroom'),
    patienceMs: patienceFor(gpu),
  });
  const ours = sideOf('strongroom', load, () => strongroom, strongroom.secrets[0] ?? null);
  if ('absent' in found) {
    const absent = { 'llama-server': found.absent };
    return {
      strongroom,
      ours,
      theirs: null,
      absent,
      packages: {},
      system: '',
      gpus,
      layers: {},
    };
  }
  const servers = {} as Record<ModelName, { readonly port: number; readonly ca: null }>;
  const layers: Record<string, string> = {};
  let system = '';
  for (const name of shape.models) {
    const run: EngineLoad = { ...shapeOf(name, shape), file: files[name], chatTemplateFile: CHAT_TEMPLATE };
    const server = await startLlamaServer(stack, folder, found, run);
    servers[name] = { port: server.port, ca: null };
    system = server.system;
    if (server.layers !== null) layers[name] = server.layers;
  }
  const theirs = sideOf('llama-server', load, (name) => servers[name], null);
  return { strongroom, ours, theirs, absent: {}, packages: { 'llama.cpp': found.release }, system, gpus, layers };
}

/** The demo model was not trained for more. */
const shapeOf = (name: ModelName, shape: Shape): Shape =>
  name === 'demo' ? { ...shape, contextSize: Math.min(shape.contextSize, 512) } : shape;

async function entryOf(file: string, { contextSize, parallel, threads, gpu, layers }: Shape): Promise<object> {
  const sha256 = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  const common = { file, sha256, chatTemplateFile: CHAT_TEMPLATE, contextSize, parallel, threads };
  // Asked for by number, they all lie there or the model is refused.
  const onGpu = gpu === null ? {} : { gpuLayers: layers === 'all' ? 9999 : layers, maxBatchSize: parallel };
  return { ...common, maxOutputTokens: contextSize, maxQueue: parallel, gpu: gpu ?? 'cpu', ...onGpu };
}

function sideOf(
  name: Side['name'],
  load: Load<StreamJob, StreamResult>,
  serverOf: (model: ModelName) => { readonly port: number; readonly ca: string | null },
  authorization: string | null,
): Side {
  return {
    name,
    async ask(model, questions) {
      const { port, ca } = serverOf(model);
      const lines = questions.map((question) => ({
        startMs: 0,
        requests: [requestFor(model, question, port, authorization)],
      }));
      const { answers } = await load.run({ port, ca, lines, processes: [] });
      return answers.map(([answer], index) => whole(name, model, answer, questions[index]?.maxTokens ?? 0));
    },
  };
}

/** The shipped policy holds an analyst to these bounds, so that the other side is asked for the same. */
const SAMPLING = { temperature: 0.1, top_p: 0.95, seed: 7 };

function requestFor(
  model: ModelName,
  { messages, maxTokens }: Question,
  port: number,
  authorization: string | null,
): string {
  const plain = { model, messages, max_tokens: maxTokens, stream: true, stream_options: { include_usage: true } };
  // What the gateway does not know of is off there; the other one's own defaults would be more work.
  const body = JSON.stringify({ ...plain, ...SAMPLING, ...(authorization === null ? { top_k: 0, min_p: 0 } : {}) });
  const headers = [
    `host: localhost:${port}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(authorization === null ? [] : [`authorization: ${authorization}`]),
  ];
  return `POST /v1/chat/completions HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

/** @throws Error for an answer that is not complete: its figures would flatter whoever gave it */
function whole(side: string, model: ModelName, answer: StreamedAnswer | undefined, most: number): StreamedAnswer {
  const fail = (why: string): never => {
    throw new Error(`these figures do not count: ${side}, model ${model}: ${why}`);
  };
  if (answer === undefined) return fail('no answer');
  const { fault, finishReason, completionTokens, promptTokens, text, textAt } = answer;
  if (fault !== null) return fail(fault);
  if (promptTokens === 0 || textAt.length === 0) return fail('an answer without a prompt or a text');
  // Each token of the made model is a word of its own, and it never ends by itself.
  const words = model === 'made' ? text.split(' ').length - 1 : completionTokens;
  const isWhole = model === 'made' ? finishReason === 'length' && completionTokens === most : completionTokens <= most;
  if (!isWhole || words !== completionTokens || (finishReason !== 'length' && finishReason !== 'stop'))
    return fail(`${completionTokens} tokens and ${words} words where ${most} were asked for, ended by ${finishReason}`);
  return answer;
}
