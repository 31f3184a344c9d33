import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { defaultThreads } from '#engine/model-spec.ts';
import { MODELS, type ModelName, type Question, type Shape, type Sides, startSides } from './engine-sides.ts';
import type { StreamedAnswer } from './event-stream.ts';
import { type BenchGpu, readGpu, readLayers, spelledOut } from './gpu.ts';
import { PROMPT_WORDS, Prompts } from './prompts.ts';
import { circumstances, spreadOf, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { compare, comparisonTable, type Figure, type Round } from './side-figures.ts';
import { bookFaults } from './strongroom.ts';

const LEAST_ROUNDS = 5;
const ALL_STREAMS = [1, 8, 32] as const;
/** What a processor is not asked for: of a GPU so many use what one alone leaves idle. */
const GPU_STREAMS = [...ALL_STREAMS, 128] as const;
/** So many answers in a row of one stream, so that its time is not all noise. */
const IN_A_ROW: Readonly<Record<number, number>> = { 1: 3, 8: 1, 32: 1 };
const DECODED: Readonly<Record<number, number>> = { 1: 48, 8: 32, 32: 16, 128: 16 };
/** Of a prompt that is taken in by so many at once, so much: 32 whole ones would take half of the time of all. */
const PORTION: Readonly<Record<number, number>> = { 1: 1, 8: 1, 32: 0.4, 128: 0.4 };
/** What is asked of one user's conversations that begin with the same 150 tokens or so. */
const SHARED = { streams: 8, words: { made: 60, demo: 130 }, maxTokens: 8 } as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

interface Plan {
  readonly rounds: number;
  readonly streams: readonly number[];
  readonly shape: Shape;
}

/**
 * Models through the whole gateway against llama.cpp's own server of the same release (goals.md, `engine`). @throws Error when
 * an answer is not whole or the books do not match the answers
 */
export async function runEngine(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: spelledOut(args),
    options: {
      rounds: { type: 'string', default: '5' },
      gpu: { type: 'string' },
      layers: { type: 'string', default: 'all' },
      streams: { type: 'string' },
      models: { type: 'string', default: MODELS.join() },
      threads: { type: 'string', default: String(defaultThreads(availableParallelism())) },
    },
  });
  const gpu = readGpu(values.gpu);
  const streams = (values.streams ?? allStreams(gpu).join()).split(',').map(Number);
  const models = MODELS.filter((name) => values.models.split(',').includes(name));
  const shape = {
    contextSize: 512,
    parallel: Math.max(SHARED.streams, ...streams),
    threads: Number(values.threads),
    gpu,
    layers: readLayers(values.layers),
    models,
  };
  await withScratch((stack, folder) => measure({ rounds: Number(values.rounds), streams, shape }, stack, folder));
}

const allStreams = (gpu: BenchGpu): readonly number[] => (gpu === null ? ALL_STREAMS : GPU_STREAMS);

async function measure(plan: Plan, stack: AsyncDisposableStack, folder: string): Promise<void> {
  const { rounds, streams, shape } = plan;
  const sides = await startSides(stack, folder, shape, say);
  const before = await sides.strongroom.kept();
  const prompts = new Prompts();
  const asked: StreamedAnswer[] = [];
  const taken: Round[] = [];
  for (let round = 0; round <= rounds; round++) {
    const result = await takeRound(sides, plan, prompts, round, asked);
    if (round > 0) taken.push(result);
    say(round === 0 ? 'warmed up' : `round ${round} of ${rounds}`);
  }
  const tokens = asked.reduce((sum, { promptTokens, completionTokens }) => sum + promptTokens + completionTokens, 0);
  const faults = bookFaults(before, await sides.strongroom.kept(), asked.length, tokens);
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);

  const rows = compare(taken);
  say(`\n${comparisonTable(rows)}\n`);
  for (const [name, why] of Object.entries(sides.absent)) say(`${name} absent: ${why}`);
  if (shape.gpu !== null) say(`on ${shape.gpu}: ${gpuText(sides)}`);
  say(`goal: 0.95 of llama-server; ${asked.length} answers of ours, all whole, and the books match`);
  const isWhole =
    streams.join() === allStreams(shape.gpu).join() && shape.layers === 'all' && shape.models.length === MODELS.length;
  if (rounds < LEAST_ROUNDS || !isWhole) return;
  const path = await writeResult({ cpu: 'engine', cuda: 'engine-gpu', vulkan: 'engine-vulkan' }[shape.gpu ?? 'cpu'], {
    ...circumstances(sides.packages),
    system: sides.system,
    plan: { rounds, streams, portion: PORTION, decoded: DECODED, shared: SHARED, ...shape },
    absent: sides.absent,
    gpus: sides.gpus,
    layers: sides.layers,
    reach: 0.95,
    rows,
  });
  say(`written to ${path}`);
}

/** The same questions to both, each time with another one first. In the warm-up each model is asked once. */
async function takeRound(
  sides: Sides,
  { streams: counts, shape }: Plan,
  prompts: Prompts,
  round: number,
  asked: StreamedAnswer[],
): Promise<Round> {
  const both = [sides.ours, ...(sides.theirs === null ? [] : [sides.theirs])];
  const order = round % 2 === 0 ? both : both.toReversed();
  const figures = { strongroom: [] as Figure[], 'llama-server': [] as Figure[] };
  const measure = async (model: ModelName, what: string, waves: readonly (readonly Question[])[], of: Reader) => {
    const promptTokens = new Set<string>();
    for (const side of order) {
      const answers: (readonly StreamedAnswer[])[] = [];
      for (const wave of waves) answers.push(await side.ask(model, wave));
      if (side === sides.ours) asked.push(...answers.flat());
      promptTokens.add(
        answers
          .flat()
          .map((answer) => answer.promptTokens)
          .join(),
      );
      figures[side.name].push(
        ...of(answers).map((figure) => ({ ...figure, what: `${model.padEnd(5)} ${figure.what} ${what}` })),
      );
    }
    // Another count would be another template or another tokenizer: not the same work.
    if (promptTokens.size > 1)
      throw new Error(`these figures do not count: prompts of ${[...promptTokens].join(' and ')}`);
  };
  for (const model of shape.models) {
    // A GPU compiles for each number what it first computes of it.
    for (const streams of round === 0 && shape.gpu === null ? [SHARED.streams] : counts) {
      const name = `${String(streams).padStart(2)} streams`;
      const waves = (words: number): Question[][] =>
        Array.from({ length: IN_A_ROW[streams] ?? 1 }, () =>
          Array.from({ length: streams }, () => question(prompts.next(words), 1)),
        );
      const asked = waves(Math.round(PROMPT_WORDS[model] * (PORTION[streams] ?? 1)));
      await measure(model, name, asked, prefillFigures);
      // The same again, so that nothing is left to be taken in: else that would count against whoever answers the first early.
      const again = asked.map((wave) => wave.map((one) => ({ ...one, maxTokens: DECODED[streams] ?? 0 })));
      await measure(model, name, again, decodeFigures);
    }
    if (round === 0) continue;
    const beginning = prompts.next(SHARED.words[model]);
    const alike = Array.from({ length: SHARED.streams }, () => ({
      messages: [
        { role: 'system' as const, content: beginning },
        { role: 'user' as const, content: prompts.next(8) },
      ],
      maxTokens: SHARED.maxTokens,
    }));
    await measure(model, `${SHARED.streams} alike`, [alike], sharedFigures);
  }
  return { ours: figures.strongroom, theirs: sides.theirs === null ? null : figures['llama-server'] };
}

/** Which GPUs, and how much of each model lies there: ours by number or not at all, theirs as it says. */
const gpuText = ({ gpus, layers }: Sides): string =>
  [...gpus, ...Object.entries(layers).map(([name, part]) => `${name} ${part} layers`)].join(', ');

const question = (content: string, maxTokens: number): Question => ({
  messages: [{ role: 'user', content }],
  maxTokens,
});

type Reader = (waves: readonly (readonly StreamedAnswer[])[]) => readonly Figure[];

const first = ({ textAt }: StreamedAnswer): number => textAt[0] ?? Number.NaN;
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const least = (answers: readonly StreamedAnswer[], of: (answer: StreamedAnswer) => number): number =>
  Math.min(...answers.map(of));
const most = (answers: readonly StreamedAnswer[], of: (answer: StreamedAnswer) => number): number =>
  Math.max(...answers.map(of));

/** Prompt tokens from the first question to the last first token, and how long each waited for its own. */
const prefillFigures: Reader = (waves) => {
  const tokens = total(waves.flat().map(({ promptTokens }) => promptTokens));
  const time = total(waves.map((wave) => most(wave, first) - least(wave, ({ askedAt }) => askedAt)));
  const waited = waves.flat().map((answer) => first(answer) - answer.askedAt);
  return [
    { what: 'prefill tokens/s', isSpeed: true, value: (tokens / time) * 1000 },
    { what: 'first token ms', isSpeed: false, value: spreadOf(waited).median },
  ];
};

/** Tokens after the first ones, from the first of all to the last of all. */
const decodeFigures: Reader = (waves) => {
  const tokens = total(waves.flat().map(({ completionTokens }) => completionTokens - 1));
  const time = total(waves.map((wave) => most(wave, ({ textAt }) => textAt.at(-1) ?? Number.NaN) - least(wave, first)));
  return [{ what: 'decode tokens/s', isSpeed: true, value: (tokens / time) * 1000 }];
};

/** From the first question to the end of the last answer. */
const sharedFigures: Reader = (waves) => {
  const time = total(waves.map((wave) => most(wave, ({ endedAt }) => endedAt) - least(wave, ({ askedAt }) => askedAt)));
  return [{ what: 'whole ms', isSpeed: false, value: time }];
};
