import { parseArgs } from 'node:util';
import { startMock, streamLoad } from './child.ts';
import type { StreamedAnswer } from './event-stream.ts';
import { ANSWER, requestText, STREAM, streamQuestion } from './question.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { bookFaults, startStrongroom } from './strongroom.ts';

const [LEAST_ROUNDS, STREAMS] = [5, 512];
/** A stream of 5 s; three in a row on each connection, which begin spread over 5 s. */
const [TOKENS, IN_A_ROW] = [100, 3];
const REACH = { addedFirstP99Ms: 5, beyond: 2, lost: 0 } as const;

/** One side in one round. */
interface Figures {
  readonly firstP50Ms: number;
  readonly firstP99Ms: number;
  /** How much later than its time, counted from the stream's first token, the latest hundredth of the tokens came. */
  readonly lateP99Ms: number;
  readonly lost: number;
  readonly answers: number;
  /** Milliseconds of processor time for 1,000 tokens: of the gateway with its Postgres, of the mock, of the load. */
  readonly cpuMs: readonly (number | null)[];
}

/**
 * Many streams at a time through the gateway (goals.md, `stream`), against the mock reached directly, in turns. @throws Error
 * when a token is lost or out of turn, or the books do not match the answers
 */
export async function runStream(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '5' }, streams: { type: 'string', default: String(STREAMS) } },
  });
  await withScratch((stack, folder) => measure(Number(values.rounds), Number(values.streams), stack, folder));
}

async function measure(rounds: number, streams: number, stack: AsyncDisposableStack, folder: string): Promise<void> {
  const mock = await startMock();
  stack.use(mock.child);
  const load = stack.use(streamLoad());
  const strongroom = await startStrongroom(stack, folder, mock.port);
  const host = `localhost:${strongroom.port}`;
  const ours = strongroom.secrets.map((authorization) => requestText(host, { authorization }, streamQuestion(TOKENS)));
  const direct = [requestText('localhost', {}, streamQuestion(TOKENS))];
  const take = async (isOurs: boolean, count: number): Promise<Figures> => {
    const [requests, processes] = isOurs ? [ours, strongroom.processes] : [direct, []];
    const lines = Array.from({ length: count }, (_, index) => ({
      startMs: (index / count) * TOKENS * STREAM.everyMs,
      requests: Array.from({ length: IN_A_ROW }, () => requests[index % requests.length] ?? ''),
    }));
    const server = isOurs ? strongroom : { port: mock.port, ca: null };
    const { answers, cpuSeconds } = await load.run({
      port: server.port,
      ca: server.ca,
      lines,
      processes: [processes, [mock.child.pid], [load.pid]],
    });
    return figuresOf(answers, cpuSeconds);
  };

  const before = await strongroom.kept();
  let answers = (await take(true, Math.min(streams, 64))).answers;
  process.stdout.write('warmed up\n');
  const taken: { readonly ours: Figures; readonly mock: Figures }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const isOursFirst = round % 2 === 0;
    const [one, other] = [await take(isOursFirst, streams), await take(!isOursFirst, streams)];
    const pair = isOursFirst ? { ours: one, mock: other } : { ours: other, mock: one };
    answers += pair.ours.answers;
    taken.push(pair);
    process.stdout.write(`round ${round} of ${rounds}\n`);
  }
  const faults = bookFaults(before, await strongroom.kept(), answers, answers * (ANSWER.promptTokens + TOKENS));
  const lost = taken.reduce((sum, { ours: { lost }, mock: { lost: theirs } }) => sum + lost + theirs, 0);
  if (lost > 0) faults.push(`${lost} tokens were lost or out of turn`);
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);

  const rows = rowsOf(taken);
  const cells = rows.map(({ name, figures }) => [name, ...figures.map((figure) => spreadText(figure, 2))]);
  const header = [
    `${streams} streams, ${1000 / STREAM.everyMs} tokens/s each`,
    'first token p50 ms',
    'p99 ms',
    'late p99 ms',
    'CPU ms/1,000 tokens',
  ];
  process.stdout.write(`${table(header, cells)}\n0 tokens lost or out of turn; the books match ${answers} answers\n`);
  const added = rows[2]?.figures[1];
  process.stdout.write(`added to the first token, p99: goal ${REACH.addedFirstP99Ms} ms, beyond ${REACH.beyond} ms\n`);
  if (rounds < LEAST_ROUNDS || streams < STREAMS) return;
  const plan = { rounds, streams, tokens: TOKENS, inARow: IN_A_ROW, everyMs: STREAM.everyMs };
  const result = { ...circumstances({}), plan, reach: REACH, lost, addedFirstP99Ms: added, rows, rounds: taken };
  process.stdout.write(`written to ${await writeResult('stream', result)}\n`);
}

const EXPECTED = Array.from({ length: TOKENS }, (_, index) => STREAM.token(index)).join('');

/** The first stream of each connection is not counted in the times: others are only beginning then. */
function figuresOf(answers: readonly (readonly StreamedAnswer[])[], cpu: readonly (number | null)[]): Figures {
  const all = answers.flat();
  const broken = all.find(({ fault }) => fault !== null);
  if (broken !== undefined) throw new Error(`these figures do not count: ${broken.fault}`);
  const steady = answers.flatMap((line) => line.slice(1));
  const first = steady.map(({ askedAt, textAt }) => (textAt[0] ?? Number.NaN) - askedAt).sort((a, b) => a - b);
  const late = steady
    .flatMap(({ textAt }) => textAt.map((at, index) => at - (textAt[0] ?? Number.NaN) - index * STREAM.everyMs))
    .sort((a, b) => a - b);
  return {
    firstP50Ms: first[Math.floor(first.length * 0.5)] ?? Number.NaN,
    firstP99Ms: first[Math.floor(first.length * 0.99)] ?? Number.NaN,
    lateP99Ms: late[Math.floor(late.length * 0.99)] ?? Number.NaN,
    lost: all.reduce((sum, { text }) => sum + (text === EXPECTED ? 0 : lostIn(text)), 0),
    answers: all.length,
    cpuMs: cpu.map((seconds) => (seconds === null ? null : (seconds * 1e6) / (all.length * TOKENS))),
  };
}

/** Tokens that are not where they belong; at least one for a text that is not the expected one. */
function lostIn(text: string): number {
  const got = text.trim().split(' ');
  const missing = Array.from({ length: TOKENS }, (_, index) => got[index] !== String(index)).filter(Boolean).length;
  return Math.max(1, missing);
}

function rowsOf(taken: readonly { readonly ours: Figures; readonly mock: Figures }[]) {
  const of = (pick: (figures: Figures) => number) => (side: 'ours' | 'mock') => taken.map((pair) => pick(pair[side]));
  const columns = [
    of(({ firstP50Ms }) => firstP50Ms),
    of(({ firstP99Ms }) => firstP99Ms),
    of(({ lateP99Ms }) => lateP99Ms),
    of(({ cpuMs }) => cpuMs[0] ?? Number.NaN),
  ];
  return [
    { name: 'through the gateway', figures: columns.map((column) => spreadOf(column('ours'))) },
    { name: 'mock directly', figures: columns.map((column) => spreadOf(column('mock'))) },
    {
      name: 'added',
      figures: columns.map((column) => {
        const theirs = column('mock');
        return spreadOf(column('ours').map((value, index) => value - (theirs[index] ?? Number.NaN)));
      }),
    },
  ];
}
