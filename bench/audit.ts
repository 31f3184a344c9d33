import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportLog } from '#audit/export.files.ts';
import { openExport } from '#audit/log-source.files.ts';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import type { LogSource } from '#audit/log-source.ts';
import { inclusionPath, verifyInclusion } from '#audit/merkle.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { type Estate, openEstate } from '../test/fakes/ledger-estate.ts';
import { admit, note, settle } from '../test/fakes/ledger-items.ts';
import { newSigner } from '../test/fakes/signed-log.ts';
import { testCluster } from '../test/harness/postgres.ts';
import { layLog } from './big-log.ts';
import { circumstances, type Spread, spreadOf, spreadText, writeResult } from './report.ts';

const ROUNDS = 5;
const BATCHES = 40;
const PER_BATCH = 128;
const PROOFS = 500;

/** The benchmark `audit` (goals.md): durable appends against a raw insert, a proof, and `audit verify` of all of it. */
export async function runAudit(args: readonly string[]): Promise<void> {
  const count = Number(args[0] ?? 1_000_000);
  const [load] = loadavg();
  await using cluster = await testCluster();
  await using estate = await openEstate(cluster);
  const signer = newSigner();
  await layLog(estate, { count, days: 6, signer });
  console.log(`${count} records are laid in and signed; load before: ${load?.toFixed(1)}`);
  const proof = await proofTimes(estate, count);
  console.log(`inclusion proof: p50 ${proof.p50Ms.toFixed(2)} ms, p99 ${proof.p99Ms.toFixed(2)} ms`);
  const verify = await liveTimes(estate, signer);
  console.log(`audit verify of the database: ${verifyText(verify)}`);
  const offline = await offlineTimes(estate, signer);
  console.log(`audit verify of an export:    ${verifyText(offline)}`);
  const append = await appendRates(estate);
  for (const [name, { ours, raw, ratio }] of Object.entries(append)) {
    const [a, b, c] = [spreadText(ours, 0), spreadText(raw, 0), spreadText(ratio, 2)];
    console.log(`append, ${name}: ${a} records/s, raw insert ${b}, ratio ${c}`);
  }
  if (count < 1_000_000) return;
  const plan = { count, ROUNDS, BATCHES, PER_BATCH };
  const figures = { proof, verify, offline, append };
  console.log(
    await writeResult('audit', { ...circumstances({}), loadBefore: load, loadAfter: loadavg()[0], plan, ...figures }),
  );
}

/** As the route does it: nodes from Postgres, one round trip a proof; each is checked. */
async function proofTimes({ dba, value }: Estate, count: number) {
  const { readNode } = postgresTree(dba);
  const root = await value<Buffer>('SELECT root FROM checkpoint WHERE size = $1', [count]);
  const times: number[] = [];
  for (let n = 0; n < PROOFS; n++) {
    const seq = (n * 7_919_777) % count;
    const startedAt = performance.now();
    const path = await inclusionPath(nodeCrypto.sha256, seq, count, readNode);
    times.push(performance.now() - startedAt);
    const leaf = await readNode(0, seq);
    if (!(await verifyInclusion(nodeCrypto.sha256, leaf, seq, count, path, root))) throw new Error(`proof of ${seq}`);
  }
  times.sort((a, b) => a - b);
  return { p50Ms: times[PROOFS / 2] ?? Number.NaN, p99Ms: times[Math.floor(PROOFS * 0.99)] ?? Number.NaN };
}

type Key = ReturnType<typeof newSigner>;

interface VerifyTimes {
  readonly seconds: number;
  readonly perSecond: number;
  /** This process's own, with what `node_modules` takes; and how much of it came after a tenth of the records. */
  readonly rssPeakMiB: number;
  readonly rssGrowthMiB: number;
  readonly cpuSeconds: number;
}

const verifyText = ({ seconds, perSecond, rssPeakMiB, rssGrowthMiB, cpuSeconds }: VerifyTimes): string =>
  `${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processor in this process), ${perSecond.toFixed(0)} records/s, ` +
  `${rssPeakMiB} MiB at most, ${rssGrowthMiB} of them after the first tenth`;

async function verifyTimes(key: Key, open: () => Promise<LogSource>): Promise<VerifyTimes> {
  const [begun, cpu] = [performance.now(), process.cpuUsage()];
  let [peak, early] = [0, 0];
  const source = await open();
  const progress = (done: number, total: number) => {
    const rss = process.memoryUsage.rss();
    peak = Math.max(peak, rss);
    if (done <= total / 10) early = peak;
  };
  const { ok, first, records } = await verifyLog({ source, crypto: nodeCrypto, key, progress });
  if (!ok) throw new Error(`verify: ${JSON.stringify(first)}`);
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds,
    perSecond: records / seconds,
    rssPeakMiB: Math.round(peak / 2 ** 20),
    rssGrowthMiB: Math.round((peak - early) / 2 ** 20),
    cpuSeconds: (user + system) / 1e6,
  };
}

async function liveTimes({ database }: Estate, key: Key): Promise<VerifyTimes> {
  await using source = await openPostgresLog(database.migrateUrl);
  return await verifyTimes(key, async () => source);
}

/** What a stranger does: the folder's files against the signed manifest, then every record. Without a database. */
async function offlineTimes({ database }: Estate, key: Key): Promise<VerifyTimes> {
  const parent = await mkdtemp(join(tmpdir(), 'strongroom-bench-'));
  const folder = join(parent, 'export');
  try {
    await using source = await openPostgresLog(database.migrateUrl);
    await exportLog({ source, folder, format: 'jsonl', origin: key.name, signer: key });
    return await verifyTimes(key, async () => {
      const opened = await openExport(folder);
      const faults = await opened.faults(key);
      if (faults.length > 0 || opened.source === null) throw new Error(`export: ${faults[0]}`);
      return opened.source;
    });
  } finally {
    await rm(parent, { recursive: true });
  }
}

interface Rates {
  readonly ours: Spread;
  readonly raw: Spread;
  readonly ratio: Spread;
}

/**
 * The same rows in the same batches of 128: through `commit_batch`, and as one INSERT into tables like `entry` and `leaf`.
 * `records`: nothing but the log's own work. `requests`: admissions and settlements, with all that these decide and count.
 */
async function appendRates(estate: Estate): Promise<Record<'records' | 'requests', Rates>> {
  const { dba, gateway, who, rows, value } = estate;
  const { commit } = gateway('bench-append');
  await dba.query('CREATE TABLE raw_entry (LIKE entry INCLUDING ALL); CREATE TABLE raw_leaf (LIKE leaf INCLUDING ALL)');
  const padding = 'ab'.repeat(250);
  const works = {
    records: () => [Array.from({ length: PER_BATCH }, () => note('note', { padding }))],
    requests: () => {
      const intents = Array.from({ length: PER_BATCH }, () => admit(who, { facts: { padding } }));
      return [intents, intents.map((intent) => settle(intent))];
    },
  };
  const size = async () => Number(await value('SELECT size FROM head'));
  /** Records/s of one round, ours and raw. */
  const round = async (work: (typeof works)['records' | 'requests']): Promise<[ours: number, raw: number]> => {
    const from = await size();
    let busy = 0;
    for (let n = 0; n < BATCHES; n++) {
      const batches = work();
      const startedAt = performance.now();
      for (const batch of batches) await commit(batch);
      busy += performance.now() - startedAt;
    }
    const to = await size();
    let rawBusy = 0;
    for (let at = from; at < to; at += PER_BATCH) {
      const batch = await rows(
        `SELECT e.*, l.hash FROM entry e JOIN leaf l ON l.seq = e.seq WHERE e.seq >= $1 AND e.seq < $2 ORDER BY e.seq`,
        [at, at + PER_BATCH],
      );
      const text = JSON.stringify(
        batch.map((row) => ({ ...row, hash: `\\x${(row as { hash: Buffer }).hash.toString('hex')}` })),
      );
      const startedAt = performance.now();
      await dba.query(RAW, [text]);
      rawBusy += performance.now() - startedAt;
    }
    const count = (to - from) * 1000;
    return [count / busy, count / rawBusy];
  };
  const rates = { records: [] as [number, number][], requests: [] as [number, number][] };
  for (let n = 0; n <= ROUNDS; n++) {
    for (const name of ['records', 'requests'] as const) {
      const pair = await round(works[name]);
      // The first round warms everything up.
      if (n > 0) rates[name].push(pair);
    }
  }
  const spreads = (pairs: readonly [number, number][]): Rates => ({
    ours: spreadOf(pairs.map(([ours]) => ours)),
    raw: spreadOf(pairs.map(([, raw]) => raw)),
    ratio: spreadOf(pairs.map(([ours, raw]) => ours / raw)),
  });
  return { records: spreads(rates.records), requests: spreads(rates.requests) };
}

const RAW = `
  WITH b AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1) AS r (seq bigint, at timestamptz, event_id uuid, kind text, actor text, action text,
      resource text, outcome text, request_id text, record text, hash bytea)
  ), l AS (INSERT INTO raw_leaf (seq, hash) SELECT seq, hash FROM b)
  INSERT INTO raw_entry (seq, at, event_id, kind, actor, action, resource, outcome, request_id, record)
    SELECT seq, at, event_id, kind, actor, action, resource, outcome, request_id, record FROM b`;
