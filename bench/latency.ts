import { Load, startMock } from './child.ts';
import type { LoadResult } from './load-job.ts';
import { requestText } from './question.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { bookFaults, startStrongroom } from './strongroom.ts';

const [ROUNDS, CONNECTIONS, PER_SECOND] = [7, 256, 1000];
const [WARM_UP_MS, MEASURE_MS] = [1000, 5000];
/** As fast as it goes, before anything counts: a gateway is slow until V8 has compiled what it does most, some 50,000 requests. */
const [WARM_CONNECTIONS, WARM_MS] = [128, 30_000];

/**
 * The time that passing the gateway adds to a request (goals.md, `latency`): at 1,000 requests a second in an open loop, everything
 * on, against the mock reached directly, in turns. @throws Error when an answer was wrong or the books do not match
 */
export const runLatency = (): Promise<void> => withScratch(measure);

async function measure(stack: AsyncDisposableStack, folder: string): Promise<void> {
  const mock = await startMock();
  stack.use(mock.child);
  const load = stack.use(new Load('open-load.ts'));
  const strongroom = await startStrongroom(stack, folder, mock.port);
  const direct = { name: 'mock', port: mock.port, ca: null, requests: [requestText('localhost', {})], processes: [] };
  const take = (server: typeof direct | typeof strongroom): Promise<LoadResult> => {
    const { port, ca, requests, processes } = server;
    const timing = { connections: CONNECTIONS, warmMs: WARM_UP_MS, measureMs: MEASURE_MS, perSecond: PER_SECOND };
    return load.run({ port, ca, requests, processes: [processes], ...timing });
  };
  const before = await strongroom.kept();
  process.stdout.write('warming up\n');
  const { port, ca, requests, processes } = strongroom;
  const pace = { connections: WARM_CONNECTIONS, warmMs: WARM_MS, measureMs: 1 };
  let { answers } = await stack.use(new Load()).run({ port, ca, requests, processes: [processes], ...pace });
  answers += (await take(strongroom)).answers;
  const rounds: { readonly ours: LoadResult; readonly mock: LoadResult }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % 2 === 0 ? strongroom : direct;
    const [one, other] = [await take(first), await take(first === direct ? strongroom : direct)];
    const [ours, theirs] = first === direct ? [other, one] : [one, other];
    answers += ours.answers;
    rounds.push({ ours, mock: theirs });
    process.stdout.write(`round ${round + 1} of ${ROUNDS}\n`);
  }
  const faults = bookFaults(before, await strongroom.kept(), answers);
  const wrong = rounds.find(({ ours, mock: direct }) => ours.wrong + direct.wrong > 0);
  if (wrong !== undefined) faults.push(`a wrong answer: ${wrong.ours.firstWrong ?? wrong.mock.firstWrong}`);
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);

  const row = (name: string, of: (round: (typeof rounds)[number]) => readonly [p50: number, p99: number]) => {
    const [p50, p99] = [0, 1].map((at) => spreadOf(rounds.map((round) => of(round)[at] as number)));
    return { name, p50: p50 ?? spreadOf([]), p99: p99 ?? spreadOf([]) };
  };
  const rows = [
    row('through the gateway', ({ ours }) => [ours.p50Ms, ours.p99Ms]),
    row('mock directly', ({ mock: direct }) => [direct.p50Ms, direct.p99Ms]),
    row('added', ({ ours, mock: direct }) => [ours.p50Ms - direct.p50Ms, ours.p99Ms - direct.p99Ms]),
  ];
  const cells = rows.map(({ name, p50, p99 }) => [name, spreadText(p50, 2), spreadText(p99, 2)]);
  process.stdout.write(`${table([`${PER_SECOND} requests/s, open loop`, 'p50 ms', 'p99 ms'], cells)}\n`);
  const plan = { rounds: ROUNDS, connections: CONNECTIONS, perSecond: PER_SECOND, measureMs: MEASURE_MS };
  process.stdout.write(`written to ${await writeResult('latency', { ...circumstances({}), plan, rows, rounds })}\n`);
}
