import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { defaultThreads } from '#engine/model-spec.ts';
import { type Message, MODELS, type ModelName, type Shape, type Side, type Sides, startSides } from './engine-sides.ts';
import type { StreamedAnswer } from './event-stream.ts';
import { readGpu, spelledOut } from './gpu.ts';
import { PROMPT_WORDS, Prompts } from './prompts.ts';
import { circumstances, type Spread, spreadOf, spreadText, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { compare, comparisonTable, type Figure, type Round } from './side-figures.ts';
import { bookFaults } from './strongroom.ts';

const LEAST_ROUNDS = 5;
/** First tokens of one round; the slowest of them counts too. */
const FIRST_TOKENS: Readonly<Record<ModelName, number>> = { made: 4, demo: 20 };
/** A conversation: so many questions of about 60 tokens, and answers of 30; a third more did not fit into ten minutes. */
const TALK = { rounds: 10, words: 22, answer: 30 } as const;
/** goals.md: of the demo model, and of a conversation with reuse against one without. */
const REACH = { firstTokenMs: 50, timeWithReuse: 0.6 } as const;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

/** A conversation on one side; times by its rounds. */
interface Talk {
  readonly wholeMs: number;
  readonly firstMs: readonly number[];
  readonly roundMs: readonly number[];
  readonly gaps: readonly number[];
  readonly cachedTokens: number;
}

interface Plan {
  readonly rounds: number;
  readonly talkRounds: number;
  readonly shape: Shape;
}

/**
 * How soon an answer begins, and what a long conversation costs (goals.md, `engine-ttft`). @throws Error when an answer is not
 * whole or the books do not match the answers
 */
export async function runEngineTtft(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: spelledOut(args),
    options: {
      rounds: { type: 'string', default: '5' },
      talk: { type: 'string', default: String(TALK.rounds) },
      gpu: { type: 'string' },
      threads: { type: 'string', default: String(defaultThreads(availableParallelism())) },
    },
  });
  const shape: Shape = {
    ...{ models: MODELS, contextSize: 2560, parallel: 2, threads: Number(values.threads) },
    ...{ gpu: readGpu(values.gpu), layers: 'all' },
  };
  const plan = { rounds: Number(values.rounds), talkRounds: Number(values.talk), shape };
  await withScratch((stack, folder) => measure(plan, stack, folder));
}

async function measure(plan: Plan, stack: AsyncDisposableStack, folder: string): Promise<void> {
  const { rounds, talkRounds, shape } = plan;
  const sides = await startSides(stack, folder, shape, say);
  const before = await sides.strongroom.kept();
  const asked: StreamedAnswer[] = [];
  const prompts = new Prompts();
  const taken: Round[] = [];
  const reuse: number[] = [];
  const last: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const { figures, talks } = await takeRound(sides, plan, prompts, round, asked);
    if (round === 0) continue;
    taken.push(figures);
    const [off, on] = talks as [Talk, Talk];
    if (off.cachedTokens * 4 > on.cachedTokens)
      throw new Error(`these figures do not count: ${off.cachedTokens} tokens reused without, ${on.cachedTokens} with`);
    reuse.push(on.wholeMs / off.wholeMs);
    last.push((on.roundMs.at(-1) ?? Number.NaN) / (on.roundMs[1] ?? Number.NaN));
    say(`round ${round} of ${rounds}`);
  }
  const tokens = asked.reduce((sum, { promptTokens, completionTokens }) => sum + promptTokens + completionTokens, 0);
  const faults = bookFaults(before, await sides.strongroom.kept(), asked.length, tokens);
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);

  const rows = compare(taken);
  say(`\n${comparisonTable(rows)}\n`);
  for (const [name, why] of Object.entries(sides.absent)) say(`${name} absent: ${why}`);
  const [timeWithReuse, lastToSecond] = [spreadOf(reuse), spreadOf(last)] as [Spread, Spread];
  say(
    `our conversation with reuse takes ${spreadText(timeWithReuse, 2)} of the time without (goal: ${REACH.timeWithReuse})`,
  );
  say(`its last round takes ${spreadText(lastToSecond, 2)} of the time of its second (beyond the goal: 1)`);
  if (rounds < LEAST_ROUNDS || talkRounds < TALK.rounds) return;
  const path = await writeResult(
    { cpu: 'engine-ttft', cuda: 'engine-ttft-gpu', vulkan: 'engine-ttft-vulkan' }[shape.gpu ?? 'cpu'],
    {
      ...circumstances(sides.packages),
      system: sides.system,
      plan: { rounds, firstTokens: FIRST_TOKENS, talk: TALK, ...shape },
      absent: sides.absent,
      gpus: sides.gpus,
      reach: REACH,
      rows,
      timeWithReuse,
      lastToSecond,
    },
  );
  say(`written to ${path}`);
}

/** The same to both, beginning with the other one each time. Round 0 warms up: a conversation of two. */
async function takeRound(sides: Sides, plan: Plan, prompts: Prompts, round: number, asked: StreamedAnswer[]) {
  const both = [sides.ours, ...(sides.theirs === null ? [] : [sides.theirs])];
  const order = round % 2 === 0 ? both : both.toReversed();
  const figures = { strongroom: [] as Figure[], 'llama-server': [] as Figure[] };
  const ask = async (side: Side, model: ModelName, messages: readonly Message[], maxTokens: number) => {
    const [answer] = await side.ask(model, [{ messages, maxTokens }]);
    if (answer === undefined) throw new Error('no answer');
    if (side === sides.ours) asked.push(answer);
    return answer;
  };
  for (const model of MODELS) {
    const contents = Array.from({ length: FIRST_TOKENS[model] }, () => prompts.next(PROMPT_WORDS[model]));
    for (const side of order) {
      const waited: number[] = [];
      for (const content of contents) {
        const answer = await ask(side, model, [{ role: 'user', content }], 2);
        waited.push(firstOf(answer) - answer.askedAt);
      }
      const { median, max } = spreadOf(waited);
      figures[side.name].push(
        { what: `${model.padEnd(5)} first token ms, median`, isSpeed: false, value: median },
        { what: `${model.padEnd(5)} first token ms, slowest of ${FIRST_TOKENS[model]}`, isSpeed: false, value: max },
      );
    }
  }
  const length = round === 0 ? 2 : plan.talkRounds;
  const questions = Array.from({ length }, () => prompts.next(TALK.words));
  const systems = Array.from({ length }, () => prompts.next(24));
  const ours: Talk[] = [];
  for (const isReused of [false, true]) {
    // What reuse is worth is told by our own; theirs is there to be compared with that.
    for (const side of isReused ? order : [sides.ours]) {
      const talk = await converse((messages) => ask(side, 'made', messages, TALK.answer), questions, systems, isReused);
      if (side === sides.ours) ours.push(talk);
      figures[side.name].push(...talkFigures(talk, `with reuse ${isReused ? 'on' : 'off'}`));
    }
  }
  const theirs = sides.theirs === null ? null : figures['llama-server'];
  return { figures: { ours: figures.strongroom, theirs } satisfies Round, talks: ours };
}

const firstOf = ({ textAt }: StreamedAnswer): number => textAt[0] ?? Number.NaN;

/** Reuse is off where each round begins with other words: nothing that was computed is of use then, on either side. */
async function converse(
  ask: (messages: readonly Message[]) => Promise<StreamedAnswer>,
  questions: readonly string[],
  systems: readonly string[],
  isReused: boolean,
): Promise<Talk> {
  const said: Message[] = [];
  const answers: StreamedAnswer[] = [];
  for (const [round, content] of questions.entries()) {
    said.push({ role: 'user', content });
    const system: Message = { role: 'system', content: systems[isReused ? 0 : round] ?? '' };
    const answer = await ask([system, ...said]);
    said.push({ role: 'assistant', content: answer.text });
    answers.push(answer);
  }
  const roundMs = answers.map(({ askedAt, endedAt }) => endedAt - askedAt);
  return {
    wholeMs: roundMs.reduce((sum, time) => sum + time, 0),
    roundMs,
    firstMs: answers.map((answer) => firstOf(answer) - answer.askedAt),
    gaps: answers.flatMap(({ textAt }) => textAt.slice(1).map((at, index) => at - (textAt[index] ?? Number.NaN))),
    cachedTokens: answers.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
  };
}

function talkFigures({ wholeMs, firstMs, gaps }: Talk, how: string): Figure[] {
  const sorted = gaps.toSorted((a, b) => a - b);
  const of = (what: string, value: number | undefined): Figure => ({
    what: `made  ${what} ${how}`,
    isSpeed: false,
    value: value ?? Number.NaN,
  });
  return [
    of('conversation ms', wholeMs),
    of('first token ms, 2nd round', firstMs[1]),
    of('first token ms, last round', firstMs.at(-1)),
    of('between tokens ms, p99', sorted[Math.floor(sorted.length * 0.99)]),
  ];
}
