import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { postgresLease } from '#admission/lease.postgres.ts';
import { Lease } from '#admission/lease.service.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { silentLog } from '#kernel/log.ts';
import { type Estate, openEstate } from '../test/fakes/ledger-estate.ts';
import { newSigner, sign } from '../test/fakes/signed-log.ts';
import { testCluster } from '../test/harness/postgres.ts';
import type { TellerJob, TellerNews } from './day-teller.ts';
import { circumstances, writeResult } from './report.ts';

const GATEWAYS = 3;
const USERS = 1000;
const REQUESTS = 500_000;
const IN_FLIGHT = 128;
const STEP = 50_000;

/** What the callers saw. */
interface Seen {
  readonly answered: Set<string>;
  refused: number;
}

/**
 * A bank's day (goals.md, `day`): every user asks until his requests of the day are used up, over three gateways on one
 * database, one of which is killed in the middle and replaced. Then the books are held against what callers saw, and the
 * whole log is verified. The gateways run without HTTP and model: what is measured is admission, quota, log and tree.
 */
export async function runDay(args: readonly string[]): Promise<void> {
  const perUser = Math.ceil(Number(args[0] ?? REQUESTS) / USERS);
  await using cluster = await testCluster();
  await using estate = await openEstate(cluster, { analysts: USERS, requests: perUser, tokens: perUser * 400 });
  await estate.dba.query("ALTER SYSTEM SET max_wal_size = '4GB'");
  await estate.dba.query('SELECT pg_reload_conf()');
  await estate.limit('model:demo', 'requests_day', USERS * perUser);
  await estate.dba.query('UPDATE tree SET epoch = 1');
  const signer = newSigner();
  let signed = 0;
  const follow = async (): Promise<void> => {
    const size = Number(await estate.value('SELECT size FROM head'));
    if (size === signed) return;
    signed = size;
    await estate.dba.query('SELECT extend_tree(1, $1)', [STEP]);
    await sign(estate, signer);
  };

  const seen: Seen = { answered: new Set(), refused: 0 };
  const startedAt = performance.now();
  const tellers = Array.from({ length: GATEWAYS }, (_, n) => startTeller(estate, `gw_${n}`, seen));
  const half = (USERS * perUser) / 2;
  let killed = false;
  let running = true;
  const signing = (async () => {
    while (running) {
      await follow();
      const [victim] = tellers;
      if (!killed && seen.answered.size >= half && victim !== undefined) {
        killed = true;
        victim.kill('SIGKILL');
        tellers[0] = startTeller(estate, `gw_${GATEWAYS}`, seen);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  })();
  for (let n = 0; n < tellers.length; n++) {
    for (let teller = tellers[n]; teller !== undefined && teller.exitCode === null && teller.signalCode === null; ) {
      await once(teller, 'exit');
      teller = tellers[n];
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  running = false;
  await signing;

  // What the dead one had open is closed as soon as its lease has run out.
  const living = estate.gateway('gw_sweeper');
  await estate.dba.query("UPDATE instance SET lease_until = now() - interval '1 s' WHERE id = 'gw_0'");
  using lease = new Lease({
    ...postgresLease(living.pool, living.instance),
    submit: living.ledger.submit.bind(living.ledger),
    log: silentLog,
    monotonic: () => performance.now(),
  });
  while (Number(await estate.value('SELECT count(*) FROM open_intent')) > 0) await lease.sweep();
  while (
    (await estate.value<string>('SELECT size FROM tree')) !== (await estate.value<string>('SELECT size FROM head'))
  )
    await estate.dba.query('SELECT extend_tree(1, $1)', [STEP]);
  await sign(estate, signer);

  const verifyAt = performance.now();
  await using source = await openPostgresLog(estate.database.migrateUrl);
  const verified = await verifyLog({ source, crypto: nodeCrypto, key: signer, progress: () => {} });
  const verifySeconds = (performance.now() - verifyAt) / 1000;
  const books = await readBooks(estate, perUser, seen);
  const result = {
    ...circumstances({}),
    loadAverage: loadavg(),
    what: 'three gateway processes without HTTP and model on one Postgres; one killed in the middle and replaced',
    requests: USERS * perUser,
    users: USERS,
    seconds,
    requestsPerSecond: (USERS * perUser) / seconds,
    recordsPerSecond: verified.records / seconds,
    answered: seen.answered.size,
    refused: seen.refused,
    killed,
    books,
    verify: { ok: verified.ok, records: verified.records, seconds: verifySeconds },
    reach: { withoutRecord: 0, overRun: 0, verify: true },
    beyondSeconds: 90,
  };
  console.log(result);
  console.log(await writeResult('day', result));
  const isWell =
    verified.ok && killed && books.answersWithoutRecord === 0 && books.overRun === 0 && books.tokensAstray === 0;
  if (!isWell) process.exitCode = 1;
}

function startTeller(estate: Estate, instance: string, seen: Seen): ChildProcess {
  const child = fork(join(import.meta.dirname, 'day-teller.ts'), { execArgv: [], stdio: 'inherit' });
  child.on('message', ({ answered, refused }: TellerNews) => {
    for (const id of answered) seen.answered.add(id);
    seen.refused += refused;
  });
  const job: TellerJob = { url: estate.database.runtimeUrl, instance, users: estate.analysts, inFlight: IN_FLIGHT };
  child.send(job);
  return child;
}

/** What the callers saw against what the log and the quota say. */
async function readBooks({ rows, value }: Estate, perUser: number, { answered }: Seen) {
  const outcomes = await rows<{ request_id: string }>(
    "SELECT request_id FROM entry WHERE kind = 'outcome' AND outcome = 'completed'",
  );
  const recorded = new Set(outcomes.map(({ request_id }) => request_id));
  const answersWithoutRecord = [...answered].filter((id) => !recorded.has(id)).length;
  const [counted] = await rows<Record<string, string>>(
    `SELECT sum(greatest(0, requests_day - $1))::text AS over, sum(requests_day)::text AS requests, sum(tokens_day)::text AS tokens, sum(concurrent)::text AS open
       FROM quota_counter WHERE subject LIKE 'user:%'`,
    [perUser],
  );
  return {
    answersWithoutRecord,
    overRun: Number(counted?.['over']),
    requestsCounted: Number(counted?.['requests']),
    intents: Number(await value("SELECT count(*) FROM entry WHERE kind = 'intent'")),
    completed: recorded.size,
    closedAsUnknown: Number(await value("SELECT count(*) FROM entry WHERE kind = 'outcome' AND outcome = 'unknown'")),
    stillOpen: Number(counted?.['open']),
    /** Tokens counted that no outcome has, or the other way round. */
    tokensAstray:
      Number(counted?.['tokens']) -
      Number(
        await value("SELECT sum((record::json->'event'->>'quota_tokens')::bigint) FROM entry WHERE kind = 'outcome'"),
      ),
  };
}
