import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Load, startMock } from './child.ts';
import { figuresTable, ratiosOf, type Sample } from './gateway-figures.ts';
import { requestText } from './question.ts';
import { circumstances, writeResult } from './report.ts';
import { type Absent, type Rival, type RunningRival, startNginx, startPortkey } from './rivals.ts';
import { withScratch } from './scratch.ts';
import { bookFaults, type Strongroom, startStrongroom } from './strongroom.ts';

const CONNECTIONS = [32, 128] as const;
/** Before a clock starts: once for each server, and again in each round, when its connections are new. */
const [WARM_UP_MS, SETTLE_MS] = [3000, 500];

/** shared/goals.md: a figure is the median of at least so many. */
const LEAST_ROUNDS = 5;

interface Plan {
  readonly rounds: number;
  readonly measureMs: number;
  /** Only the gateway itself; nothing is written to results/. */
  readonly alone: boolean;
  /** Where the gateway leaves a CPU profile; such figures are not written either. */
  readonly profile: string | null;
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

/** The benchmark `gateway`. @throws Error when an answer was wrong or the books do not match the answers. */
export async function runGateway(args: readonly string[]): Promise<void> {
  const plan = planOf(args);
  await withScratch((stack, folder) => measureAndReport(plan, stack, folder));
}

function planOf(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '3' },
      alone: { type: 'boolean', default: false },
      profile: { type: 'string' },
    },
  });
  return {
    rounds: Number(values.rounds),
    measureMs: Number(values.seconds) * 1000,
    alone: values.alone,
    profile: values.profile === undefined ? null : resolve(values.profile),
  };
}

async function measureAndReport(plan: Plan, stack: AsyncDisposableStack, folder: string): Promise<void> {
  const mock = await startMock();
  stack.use(mock.child);
  const load = stack.use(new Load());
  say('starting the gateway with an embedded Postgres');
  const flags = plan.profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${plan.profile}`];
  const strongroom = await startStrongroom(stack, folder, mock.port, { flags });
  const { rivals, packages, absent } = plan.alone
    ? { rivals: [], packages: {}, absent: {} }
    : await startRivals(folder, mock.port, strongroom, stack);
  const direct = { name: 'mock', port: mock.port, ca: null, requests: [requestText('localhost', {})], processes: [] };
  const servers: Rival[] = [strongroom, ...rivals, ...(plan.alone ? [] : [direct])];

  const before = await strongroom.kept();
  const samples = await measure(load, servers, plan, mock.child.pid);
  const after = await strongroom.kept();

  const counted = samples.filter(({ round }) => round > 0);
  say(`\n${figuresTable(counted, absent)}\n`);
  const ratios = ratiosOf(counted);
  for (const { text } of ratios) say(text);
  const answers = sum(samples.filter(({ server }) => server === strongroom.name).map((sample) => sample.answers));
  const recordsPerCommit = (after.records - before.records) / (after.commits - before.commits);
  say(`${answers} answers of ours, ${after.records - before.records} records, ${recordsPerCommit.toFixed(1)} a commit`);
  const faults = [...wrongAnswers(samples), ...bookFaults(before, after, answers)];
  if (faults.length > 0) throw new Error(`these figures do not count:\n  ${faults.join('\n  ')}`);
  say('every answer right; one intent and one outcome for each; quota exact');

  if (plan.alone || plan.profile !== null || plan.rounds < LEAST_ROUNDS) return;
  const { rounds, measureMs } = plan;
  const path = await writeResult('gateway', {
    ...circumstances(packages),
    plan: { rounds, measureMs, connections: CONNECTIONS },
    absent,
    ratios: ratios.map(({ text: _, ...ratio }) => ratio),
    books: { answers, recordsPerCommit, before, after },
    samples: counted,
  });
  say(`written to ${path}`);
}

async function startRivals(
  folder: string,
  mockPort: number,
  { tls, ca }: Strongroom,
  stack: AsyncDisposableStack,
): Promise<{ rivals: Rival[]; packages: Record<string, string>; absent: Record<string, string> }> {
  say('starting nginx and Portkey');
  const rivals: Rival[] = [];
  const packages: Record<string, string> = {};
  const absent: Record<string, string> = {};
  const add = (name: string, found: RunningRival | Absent) => {
    if ('absent' in found) {
      absent[name] = found.absent;
    } else {
      rivals.push(found);
      packages[name] = found.version;
    }
  };
  add('nginx', await startNginx(stack, folder, mockPort, { ...tls, ca: ca ?? '' }));
  add('portkey', await startPortkey(stack, folder, mockPort));
  return { rivals, packages, absent };
}

/** Round 0 warms up. In each later round every server has its turn, beginning with another one each time. */
async function measure(load: Load, servers: readonly Rival[], plan: Plan, mockPid: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const take = async (server: Rival, round: number, connections: number, warmMs: number, measureMs: number) => {
    const { name, port, ca, requests, processes } = server;
    const job = { port, ca, requests, connections, warmMs, measureMs, processes: [processes, [mockPid], [load.pid]] };
    samples.push({ server: name, round, connections, ...(await load.run(job)) });
  };
  say('warming up');
  for (const server of servers) await take(server, 0, Math.max(...CONNECTIONS), WARM_UP_MS, 1);
  for (let round = 1; round <= plan.rounds; round++) {
    const turns = servers
      .map((_, index) => servers[(index + round) % servers.length])
      .filter((turn) => turn !== undefined);
    for (const connections of CONNECTIONS) {
      for (const server of turns) await take(server, round, connections, SETTLE_MS, plan.measureMs);
    }
    say(`round ${round} of ${plan.rounds}`);
  }
  return samples;
}

function wrongAnswers(samples: readonly Sample[]): string[] {
  return samples
    .filter(({ wrong }) => wrong > 0)
    .map(({ server, connections, wrong, firstWrong }) => `${server}, ${connections}: ${wrong} wrong, as ${firstWrong}`);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
