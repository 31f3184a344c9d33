import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asSuperuser, type Cluster, EMBEDDED, findCluster } from '#postgres/embedded-cluster.ts';
import { findServer, type Server } from '#postgres/embedded-server.ts';
import { Child, comesUp, freePort } from './child.ts';
import { removeCluster, signIn, withoutSettings } from './first-run.ts';
import { ANSWER, MODEL, QUESTION, requestText } from './question.ts';
import { spreadOf } from './report.ts';
import type { Rival } from './rivals.ts';

const PROGRAM = join(import.meta.dirname, '..', 'src');
/** More than any round can ask, and small enough to be counted exactly. */
const HUGE_QUOTA = 1_000_000_000_000;

/** What the log and the quota say that has happened. */
export interface Kept {
  readonly records: number;
  /** Requests with exactly one intent and exactly one completed outcome, and nothing else. */
  readonly pairs: number;
  readonly openIntents: number;
  readonly requestsUsed: number;
  readonly tokensUsed: number;
  readonly commits: number;
}

export interface Strongroom extends Rival {
  /** Of each gateway; `port` is the first one's. */
  readonly ports: readonly number[];
  /** Values of `authorization`: a session's and an API key's. */
  readonly secrets: readonly string[];
  /** TLS files of the development certificate, for a proxy that shall cost the same. */
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  kept(): Promise<Kept>;
  /** From now on each flush of the write-ahead log waits so much longer, as on a slower disk. */
  delayCommits(milliseconds: number): Promise<void>;
  /** Median of commits one after another. */
  commitMs(): Promise<number>;
}

export interface StrongroomOptions {
  /** Flags for its Node. */
  readonly flags?: readonly string[];
  /** Gateways on the one Postgres; default 1. */
  readonly gateways?: number;
  /** In place of the mock: what is in the catalogue. Each answers before this resolves. */
  readonly models?: Readonly<Record<string, object>>;
  /** Other sections of the configuration. */
  readonly settings?: Readonly<Record<string, object>>;
  /** Beside ours. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long a model may take until it answers. */
  readonly patienceMs?: number;
}

/** The mock, as the catalogue has it. */
export const mockEntry = (port: number) => ({
  parallel: 1024,
  upstream: { url: `http://127.0.0.1:${port}`, model: MODEL },
});

/**
 * A whole gateway in a folder of its own: embedded Postgres with the product's settings, its own development
 * certificate, the first run's analyst with a session, an API key and a quota that is counted and never reached.
 * `stack` ends it and removes what it kept.
 */
export async function startStrongroom(
  stack: AsyncDisposableStack,
  folder: string,
  mockPort: number,
  options: StrongroomOptions = {},
): Promise<Strongroom> {
  const { flags = [], gateways = 1, models = { [MODEL]: mockEntry(mockPort) }, settings = {} } = options;
  const dataDir = join(folder, 'data');
  const configFile = join(folder, 'strongroom.yaml');
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify({ ...settings, dataDir, models }));
  stack.defer(() => removeCluster(dataDir));
  const ports: number[] = [];
  const children: Child[] = [];
  while (children.length < gateways) {
    const [port, metricsPort] = [await freePort(), await freePort()];
    const child = Child.run(
      stack,
      `strongroom-${children.length}`,
      process.execPath,
      [join(PROGRAM, 'strongroom.mjs'), '--node', ...flags, join(PROGRAM, 'main.ts'), 'serve'],
      folder,
      {
        ...withoutSettings(process.env),
        ...options.environment,
        STRONGROOM_CONFIG: configFile,
        STRONGROOM_HTTP__PORT: String(port),
        STRONGROOM_METRICS__LISTEN: `127.0.0.1:${metricsPort}`,
      },
    );
    await comesUp(child, async () => {
      if (!child.log().includes('Strongroom is at')) throw new Error('not listening yet');
    });
    ports.push(port);
    children.push(child);
  }
  const [port = 0] = ports;
  const [child] = children as [Child];
  const { ca, ask, token, subject, password } = await signIn(dataDir, port);
  const { key } = await ask<{ key: string }>('/auth/keys', token, { name: 'bench', password });
  const cluster = await findCluster(dataDir);
  const server = await findServer(cluster);
  if (server === undefined) throw new Error('the embedded Postgres is not there');
  await grantQuota(cluster, server, subject);
  for (const model of Object.keys(models)) {
    const question = { ...JSON.parse(QUESTION), model };
    await comesUp(child, () => ask('/v1/chat/completions', token, question), options.patienceMs);
  }

  const secrets = [token, key].map((secret) => `Bearer ${secret}`);
  return {
    name: 'strongroom',
    port,
    ports,
    ca,
    secrets,
    requests: secrets.map((authorization) => requestText(`localhost:${port}`, { authorization })),
    processes: [...children.map(({ pid }) => pid), server.process.pid],
    tls: { certFile: join(dataDir, 'tls', 'server.pem'), keyFile: join(dataDir, 'tls', 'server.key') },
    kept: () => readKept(cluster, server, subject),
    delayCommits: (milliseconds) => delayCommits(cluster, server, milliseconds),
    commitMs: () => timeCommits(cluster, server),
  };
}

/** The differences between what was kept and what `answers` answers must leave behind; empty when all is well. */
export function bookFaults(
  before: Kept,
  after: Kept,
  answers: number,
  tokens = answers * (ANSWER.promptTokens + ANSWER.completionTokens),
): string[] {
  const expected: Readonly<Record<string, [is: number, must: number]>> = {
    records: [after.records - before.records, 2 * answers],
    'requests with one intent and one outcome': [after.pairs - before.pairs, answers],
    'open intents': [after.openIntents, 0],
    'requests counted': [after.requestsUsed - before.requestsUsed, answers],
    'tokens counted': [after.tokensUsed - before.tokensUsed, tokens],
  };
  return Object.entries(expected)
    .filter(([, [is, must]]) => is !== must)
    .map(([what, [is, must]]) => `${what}: ${is}, must be ${must}`);
}

function grantQuota(cluster: Cluster, { port }: Server, subject: string): Promise<void> {
  return asSuperuser(cluster, port, EMBEDDED.database, async (client) => {
    await client.query(
      `INSERT INTO strongroom.quota_limit (scope, kind, amount)
         SELECT $1, kind, $2 FROM unnest('{requests_day,tokens_day,requests_minute,tokens_minute,concurrent}'::text[]) kind
         ON CONFLICT (scope, kind) DO UPDATE SET amount = excluded.amount`,
      [`user:${subject}`, HUGE_QUOTA],
    );
  });
}

function readKept(cluster: Cluster, { port }: Server, subject: string): Promise<Kept> {
  return asSuperuser(cluster, port, EMBEDDED.database, async (client) => {
    const { rows } = await client.query<Record<keyof Kept, string>>(
      `WITH mine AS (SELECT request_id, kind, outcome, xmin::text AS commit FROM strongroom.entry
                      WHERE actor = $1 AND action = 'infer'),
            by_request AS (SELECT count(*) AS n, count(*) FILTER (WHERE kind = 'intent') AS intents,
                                  count(*) FILTER (WHERE kind = 'outcome' AND outcome = 'completed') AS outcomes
                             FROM mine GROUP BY request_id),
            used AS (SELECT requests_day, tokens_day FROM strongroom.quota_counter WHERE subject = 'user:' || $1)
       SELECT (SELECT count(*) FROM mine) AS "records",
              (SELECT count(DISTINCT commit) FROM mine) AS "commits",
              (SELECT count(*) FROM by_request WHERE n = 2 AND intents = 1 AND outcomes = 1) AS "pairs",
              (SELECT count(*) FROM strongroom.open_intent) AS "openIntents",
              coalesce((SELECT requests_day FROM used), 0) AS "requestsUsed",
              coalesce((SELECT tokens_day FROM used), 0) AS "tokensUsed"`,
      [subject],
    );
    const [row] = rows;
    if (row === undefined) throw new Error('the books are empty');
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as unknown as Kept;
  });
}

/**
 * Postgres' own `commit_delay`: whoever flushes the log waits first, with the lock in his hand, so that flushes follow each other as
 * they do on a disk that needs so long for each. With no siblings asked for, it waits always.
 */
function delayCommits(cluster: Cluster, { port }: Server, milliseconds: number): Promise<void> {
  return asSuperuser(cluster, port, EMBEDDED.database, async (client) => {
    await client.query('ALTER SYSTEM SET commit_siblings = 0');
    await client.query(`ALTER SYSTEM SET commit_delay = ${milliseconds * 1000}`);
    await client.query('SELECT pg_reload_conf()');
  });
}

const COMMITS = 50;

function timeCommits(cluster: Cluster, { port }: Server): Promise<number> {
  return asSuperuser(cluster, port, EMBEDDED.database, async (client) => {
    await client.query('CREATE TABLE IF NOT EXISTS bench_commit (n int)');
    const times: number[] = [];
    while (times.length < COMMITS) {
      const startedAt = performance.now();
      await client.query('INSERT INTO bench_commit VALUES (1)');
      times.push(performance.now() - startedAt);
    }
    await client.query('DROP TABLE bench_commit');
    return spreadOf(times).median;
  });
}
