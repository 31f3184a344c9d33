import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { circumstances, spreadOf, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { type Strongroom, startStrongroom } from './strongroom.ts';

const MODEL = 'demo';
const FILE = new URL('../models/demo/demo.gguf', import.meta.url).pathname;
const TEMPLATE = new URL('../models/demo/chat-template.jinja', import.meta.url).pathname;
const [CYCLES, REQUESTS, CONNECTIONS, TOKENS] = [100, 10_000, 8, 4];
/** Of the requests, so many between one load and the next; the others are all of one process, in as many blocks. */
const [OF_A_CYCLE, BLOCKS] = [20, 40];
/** Readings at the beginning and at the end whose medians are compared. */
const EDGE = 5;
const MIB = 2 ** 20;
/** V8 gives back what a busy heap had after a minute and a half in which little happens. */
const REST_MS = 150_000;
const COLLECTION = new URL('./collection.ts', import.meta.url).href;

/**
 * What memory does in the long run (goals.md, `engine-memory`): RssAnon and VmSwap of the gateway and of the model's process over 100
 * loads and unloads, and over 10,000 requests, through the whole gateway. @throws Error when an answer was wrong or is not in the books
 */
export async function runEngineMemory(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { cycles: { type: 'string' }, requests: { type: 'string' } },
  });
  const cycles = Number(values.cycles ?? CYCLES);
  const requests = Number(values.requests ?? REQUESTS);
  await withScratch(async (stack, folder) => {
    const sha256 = createHash('sha256')
      .update(await readFile(FILE))
      .digest('hex');
    const strongroom = await startStrongroom(stack, folder, 0, {
      models: {
        [MODEL]: { file: FILE, sha256, chatTemplateFile: TEMPLATE, contextSize: 1024, gpu: 'cpu', threads: 1 },
      },
      // The least there is: a model that nobody asks for goes, and the next request brings it back.
      settings: { engine: { idleUnloadSeconds: 1 } },
      flags: ['--expose-gc', '--import', COLLECTION],
    });
    const before = await strongroom.kept();
    const began = performance.now();
    const asker = openAsker(strongroom);
    stack.defer(() => asker.close());
    const loads = await cycle(strongroom, asker, cycles, folder);
    const block = Math.floor((requests - cycles * OF_A_CYCLE) / BLOCKS);
    const lasting = await ask(strongroom, asker, block);
    process.stdout.write('at rest\n');
    await sleep(REST_MS);
    const rested = privateMemory(strongroom.processes[0] ?? 0);
    const collected = [...loads.collected, await heapInUse(strongroom, folder)];
    const answers = cycles * OF_A_CYCLE + block * BLOCKS;
    const after = await strongroom.kept();
    if (after.pairs - before.pairs !== answers || after.openIntents !== 0)
      throw new Error(`${answers} answers, ${after.pairs - before.pairs} in the books, ${after.openIntents} open`);

    const rows = [
      drift(`gateway, over ${cycles} loads`, loads.gateway),
      drift(`model, over ${cycles} loads`, loads.model),
      drift(`gateway, over ${block * BLOCKS} requests`, lasting.gateway),
      drift(`model, over ${block * BLOCKS} requests of one process`, lasting.model),
      drift('gateway, from first to last', [...loads.gateway, ...lasting.gateway]),
      drift(`gateway, after ${EDGE} loads and at rest in the end`, [loads.gateway[EDGE - 1] ?? Number.NaN, rested], 1),
      drift(`gateway, heap in use after ${EDGE} loads and at the end`, collected, 1),
    ];
    const cells = rows.map(({ name, first, last, ratio }) => [
      name,
      first.toFixed(1),
      last.toFixed(1),
      ratio.toFixed(3),
    ]);
    process.stdout.write(`${table(['RssAnon + VmSwap, MiB', 'first', 'last', 'ratio'], cells)}\n`);
    if (cycles < CYCLES || requests < REQUESTS) return;
    const plan = {
      cycles,
      requests: answers,
      ofACycle: OF_A_CYCLE,
      connections: CONNECTIONS,
      tokens: TOKENS,
      edge: EDGE,
    };
    const seconds = (performance.now() - began) / 1000;
    const result = { ...circumstances({}), plan, seconds, rows, loads, lasting, collected };
    process.stdout.write(`written to ${await writeResult('engine-memory', result)}\n`);
  });
}

/** MiB, a reading after each cycle or block. */
interface Readings {
  readonly gateway: number[];
  readonly model: number[];
}

interface Asker {
  /** So many requests, some at a time. @throws Error at the first answer that is not right */
  many(count: number): Promise<void>;
  close(): void;
}

/** A request brings the model in, others follow, and it goes by itself. `collected`: of the gateway, once, early. */
async function cycle(
  strongroom: Strongroom,
  asker: Asker,
  cycles: number,
  folder: string,
): Promise<Readings & { readonly collected: readonly number[] }> {
  const [gateway = 0] = strongroom.processes;
  const readings: Readings = { gateway: [], model: [] };
  const collected: number[] = [];
  for (let at = 1; at <= cycles; at++) {
    await asker.many(OF_A_CYCLE);
    const [child] = enginesOf(gateway);
    if (child === undefined) throw new Error('the model is not there');
    readings.model.push(privateMemory(child));
    while (enginesOf(gateway).length > 0) await sleep(50);
    readings.gateway.push(privateMemory(gateway));
    if (at === EDGE) collected.push(await heapInUse(strongroom, folder));
    if (at % 10 === 0) process.stdout.write(`${at} of ${cycles} loads\n`);
  }
  return { ...readings, collected };
}

/** All in one life of the model: blocks follow each other at once, so that it never is idle for long. */
async function ask(strongroom: Strongroom, asker: Asker, block: number): Promise<Readings> {
  const [gateway = 0] = strongroom.processes;
  const readings: Readings = { gateway: [], model: [] };
  let living: number | undefined;
  for (let at = 1; at <= BLOCKS; at++) {
    await asker.many(block);
    const [child] = enginesOf(gateway);
    if (child === undefined || (living !== undefined && child !== living)) throw new Error('the model went in between');
    living = child;
    readings.model.push(privateMemory(child));
    readings.gateway.push(privateMemory(gateway));
    if (at % 10 === 0) process.stdout.write(`${at * block} of ${block * BLOCKS} requests\n`);
  }
  return readings;
}

/** MiB that the gateway's heap holds when all that is garbage is gone. The second time finds what the first one freed. */
async function heapInUse({ processes: [gateway = 0] }: Strongroom, folder: string): Promise<number> {
  for (let times = 0; times < 2; times++) {
    process.kill(gateway, 'SIGUSR2');
    await sleep(2000);
  }
  return Number(readFileSync(join(folder, 'heap-in-use'), 'utf8')) / MIB;
}

function drift(name: string, readings: readonly number[], edge = EDGE) {
  const [first, last] = [spreadOf(readings.slice(0, edge)).median, spreadOf(readings.slice(-edge)).median];
  return { name, first, last, ratio: last / first };
}

function openAsker({ port, ca, secrets: [authorization = ''] }: Strongroom): Asker {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let asked = 0;
  const one = async (): Promise<void> => {
    const question = `Question ${asked++}: when does the vault open?`;
    const body = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: question }], max_tokens: TOKENS });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), authorization };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const options = { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers, agent };
    const call = request({ ...options, ca: ca ?? '', servername: 'localhost' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => {
        const isRight = answer.statusCode === 200 && JSON.parse(text).usage.completion_tokens >= 1;
        if (isRight) resolve();
        else reject(new Error(`${answer.statusCode}: ${text}`));
      });
    });
    call.on('error', reject).end(body);
    return promise;
  };
  return {
    async many(count) {
      let left = count;
      const worker = async () => {
        while (left-- > 0) await one();
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, worker));
    },
    close: () => agent.destroy(),
  };
}

/** What a process has for itself, swapped out or not; pages of files are nobody's growth. */
function privateMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
  return ((of('RssAnon') + of('VmSwap')) * 1024) / MIB;
}

/** The processes below a gateway that hold a model. */
function enginesOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [...(holdsModel(child) ? [child] : []), ...enginesOf(child)]);
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}

/** Node itself, and not what stands around it. */
function holdsModel(pid: number): boolean {
  try {
    const [program = '', ...words] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return /\/node$/.test(program) && words.some((word) => word.endsWith('/child.llama.ts'));
  } catch {
    return false;
  }
}
