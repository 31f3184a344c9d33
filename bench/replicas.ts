import { parseArgs } from 'node:util';
import { Load, startMock } from './child.ts';
import type { LoadResult } from './load-job.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';
import { bookFaults, startStrongroom } from './strongroom.ts';

const [LEAST_ROUNDS, GATEWAYS, IN_FLIGHT] = [5, 3, 192];
const COMMIT_MS = 3;
const [WARM_UP_MS, MEASURE_MS] = [1000, 5000];
const REACH = { p99Ms: 40, throughput: 0.9, beyondP99Ms: 25 } as const;

/**
 * Three gateways on one Postgres whose commits take 3 ms, against one of them (goals.md, `replicas`): the same requests in
 * flight, in turns. @throws Error when an answer was wrong or the books do not match
 */
export async function runReplicas(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '7' }, seconds: { type: 'string' } },
  });
  const measureMs = values.seconds === undefined ? MEASURE_MS : Number(values.seconds) * 1000;
  await withScratch((stack, folder) => measure(Number(values.rounds), measureMs, stack, folder));
}

async function measure(rounds: number, measureMs: number, stack: AsyncDisposableStack, folder: string): Promise<void> {
  const mock = await startMock();
  stack.use(mock.child);
  const load = stack.use(new Load());
  const strongroom = await startStrongroom(stack, folder, mock.port, { gateways: GATEWAYS });
  const commit = { before: await strongroom.commitMs(), after: Number.NaN };
  await strongroom.delayCommits(COMMIT_MS);
  commit.after = await strongroom.commitMs();
  process.stdout.write(`a commit takes ${commit.before.toFixed(1)} ms, with the delay ${commit.after.toFixed(1)} ms\n`);
  if (commit.after < COMMIT_MS) throw new Error('these figures do not count: commits are not delayed');
  const take = (gateways: number): Promise<LoadResult> => {
    const { port, ports, ca, requests, processes } = strongroom;
    const timing = { connections: IN_FLIGHT, warmMs: WARM_UP_MS, measureMs };
    return load.run({ port, ports: ports.slice(0, gateways), ca, requests, processes: [processes], ...timing });
  };
  const before = await strongroom.kept();
  let answers = (await take(GATEWAYS)).answers;
  const taken: { readonly three: LoadResult; readonly one: LoadResult }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const first = round % 2 === 0 ? 1 : GATEWAYS;
    const [earlier, later] = [await take(first), await take(first === 1 ? GATEWAYS : 1)];
    const pair = first === 1 ? { one: earlier, three: later } : { one: later, three: earlier };
    answers += pair.one.answers + pair.three.answers;
    taken.push(pair);
    process.stdout.write(`round ${round} of ${rounds}\n`);
  }
  const after = await strongroom.kept();
  const faults = bookFaults(before, after, answers);
  for (const { one, three } of taken) {
    if (one.wrong + three.wrong > 0) faults.push(`a wrong answer: ${one.firstWrong ?? three.firstWrong}`);
  }
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);

  const row = (name: string, of: (pair: (typeof taken)[number]) => LoadResult) => ({
    name,
    perSecond: spreadOf(taken.map((pair) => of(pair).perSecond)),
    p50: spreadOf(taken.map((pair) => of(pair).p50Ms)),
    p99: spreadOf(taken.map((pair) => of(pair).p99Ms)),
    cpuMicroseconds: spreadOf(taken.map((pair) => of(pair).cpuMicroseconds[0] ?? Number.NaN)),
  });
  const rows = [row('three gateways', ({ three }) => three), row('one gateway', ({ one }) => one)];
  const ratio = spreadOf(taken.map(({ three, one }) => three.perSecond / one.perSecond));
  const cells = rows.map(({ name, perSecond, p50, p99, cpuMicroseconds }) => [
    name,
    spreadText(perSecond, 0),
    spreadText(p50, 1),
    spreadText(p99, 1),
    spreadText(cpuMicroseconds, 0),
  ]);
  const header = [
    `${IN_FLIGHT} in flight, commits of ${COMMIT_MS} ms`,
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU us/answer',
  ];
  const recordsPerCommit = (after.records - before.records) / (after.commits - before.commits);
  process.stdout.write(`${table(header, cells)}\n`);
  process.stdout.write(`throughput of three over one: ${spreadText(ratio, 2)} (goal ${REACH.throughput}); `);
  process.stdout.write(`p99 goal ${REACH.p99Ms} ms, beyond ${REACH.beyondP99Ms} ms\n`);
  process.stdout.write(`the books match ${answers} answers, ${recordsPerCommit.toFixed(1)} records a commit\n`);
  if (rounds < LEAST_ROUNDS) return;
  const plan = { rounds, gateways: GATEWAYS, inFlight: IN_FLIGHT, commitMs: COMMIT_MS, measureMs };
  const result = {
    ...circumstances({}),
    plan,
    reach: REACH,
    delays: commit,
    ratio,
    recordsPerCommit,
    rows,
    rounds: taken,
  };
  process.stdout.write(`written to ${await writeResult('replicas', result)}\n`);
}
