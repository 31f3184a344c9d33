import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findCluster } from '#postgres/embedded-cluster.ts';
import { findServer, stopServer } from '#postgres/embedded-server.ts';
import { Child, comesUp, freePort } from './child.ts';
import { removeCluster, signIn, withoutSettings } from './first-run.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';
import { withScratch } from './scratch.ts';

const LEAST_ROUNDS = 5;
const REACH = { answeredSeconds: 10, beyond: 5 } as const;
const ROOT = join(import.meta.dirname, '..');

/** Seconds since `npm start` was given. */
interface Started {
  readonly listening: number;
  readonly signedIn: number;
  readonly answered: number;
}

/**
 * From `npm start` to the first answer (goals.md, `start`): packages installed, no data folder, everything on defaults, the
 * built-in model. @throws Error when it does not start or does not answer
 */
export async function runStart(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '7' } } });
  const rounds = Number(values.rounds);
  const taken: Started[] = [];
  // A folder of its own for each round: nothing of the last one helps.
  while (taken.length < rounds) {
    await withScratch(async (stack, folder) => {
      taken.push(await startOnce(stack, folder));
    });
    process.stdout.write(`round ${taken.length} of ${rounds}\n`);
  }
  const rows = (['listening', 'signedIn', 'answered'] as const).map((step) => ({
    step,
    seconds: spreadOf(taken.map((started) => started[step])),
  }));
  const cells = rows.map(({ step, seconds }) => [step, spreadText(seconds, 2)]);
  process.stdout.write(`${table(['npm start, cold data folder', 'after s'], cells)}\n`);
  process.stdout.write(`goal: answered after ${REACH.answeredSeconds} s, beyond ${REACH.beyond} s\n`);
  if (rounds < LEAST_ROUNDS) return;
  const result = { ...circumstances({}), plan: { rounds }, reach: REACH, rows, rounds: taken };
  process.stdout.write(`written to ${await writeResult('start', result)}\n`);
}

async function startOnce(stack: AsyncDisposableStack, folder: string): Promise<Started> {
  const [port, metricsPort, dataDir] = [await freePort(), await freePort(), join(folder, 'data')];
  const configFile = join(folder, 'strongroom.yaml');
  await writeFile(configFile, '{}');
  stack.defer(() => removeCluster(dataDir));
  // npm ends before the gateway does, which ends when it sees that npm is gone.
  stack.defer(() => serverIsGone(dataDir));
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  const child = Child.run(
    stack,
    'npm-start',
    'npm',
    ['start'],
    folder,
    {
      ...withoutSettings(process.env),
      STRONGROOM_CONFIG: configFile,
      STRONGROOM_DATA_DIR: dataDir,
      STRONGROOM_HTTP__PORT: String(port),
      STRONGROOM_METRICS__LISTEN: `127.0.0.1:${metricsPort}`,
    },
    ROOT,
  );
  await comesUp(child, async () => {
    if (!child.log().includes('Strongroom is at')) throw new Error('not listening yet');
  });
  const listening = seconds();
  const { ask, token } = await signIn(dataDir, port);
  const signedIn = seconds();
  const messages = [{ role: 'user', content: 'What is a loan?' }];
  // A request for a model that is still coming into memory waits for it.
  const answer = await ask<{ choices: readonly { message: { content: string } }[] }>('/v1/chat/completions', token, {
    model: 'demo',
    messages,
  });
  if (!answer.choices[0]?.message.content) throw new Error('an empty answer');
  return { listening, signedIn, answered: seconds() };
}

/** Waits for the end of the embedded Postgres, and ends it where the gateway could not. */
async function serverIsGone(dataDir: string): Promise<void> {
  const cluster = await findCluster(dataDir).catch(() => null);
  if (cluster === null) return;
  const deadline = performance.now() + 30_000;
  for (let server = await findServer(cluster); server !== undefined; server = await findServer(cluster)) {
    if (performance.now() > deadline) return stopServer(server);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
