import { loadavg } from 'node:os';
import { openPostgresLog } from '#audit/log-source.postgres.ts';
import { inclusionPath, verifyInclusion } from '#audit/merkle.shared.ts';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { postgresTree } from '#audit/tree.postgres.ts';
import { verifyLog } from '#audit/verify.service.ts';
import { type Estate, openEstate } from '../test/fakes/ledger-estate.ts';
import { admit, settle } from '../test/fakes/ledger-items.ts';
import { newSigner, sign } from '../test/fakes/signed-log.ts';
import { testCluster } from '../test/harness/postgres.ts';
import { layLog } from './big-log.ts';
import { circumstances, type Spread, spreadOf, spreadText, writeResult } from './report.ts';

const ROUNDS = 5;
const BATCHES = 40;
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
  const verify = await verifyTimes(estate, signer);
  console.log(
    `audit verify: ${verify.seconds.toFixed(1)} s, ${verify.perSecond.toFixed(0)} records/s, ${verify.rssPeakMiB} MiB at most`,
  );
  const append = await appendRates(estate);
  console.log(
    `append: ${spreadText(append.ours, 0)} records/s, raw insert ${spreadText(append.raw, 0)}, ratio ${spreadText(append.ratio, 2)}`,
  );
  await sign(estate, signer);
  if (count < 1_000_000) return;
  console.log(
    await writeResult('audit', {
      ...circumstances({}),
      loadBefore: load,
      plan: { count, ROUNDS, BATCHES },
      proof,
      verify,
      append,
    }),
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

async function verifyTimes(estate: Estate, key: ReturnType<typeof newSigner>) {
  let peak = 0;
  const startedAt = performance.now();
  await using source = await openPostgresLog(estate.database.migrateUrl);
  const progress = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const { ok, first, records } = await verifyLog({ source, crypto: nodeCrypto, key, progress });
  // Intents and outcomes of denied and refused kinds are laid in unpaired: only their hashes are what counts here.
  if (!ok && first?.kind !== 'pair') throw new Error(`verify: ${JSON.stringify(first)}`);
  const seconds = (performance.now() - startedAt) / 1000;
  return { seconds, perSecond: records / seconds, rssPeakMiB: Math.round(peak / 2 ** 20) };
}

/** The same rows in the same batches of 128: through `commit_batch`, and as one INSERT of `entry` rows into a table like it. */
async function appendRates({ dba, gateway, who, rows }: Estate): Promise<Record<'ours' | 'raw' | 'ratio', Spread>> {
  const { commit } = gateway('bench-append');
  await dba.query('CREATE TABLE raw_entry (LIKE entry INCLUDING ALL)');
  const [ours, raw]: [number[], number[]] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    let busy = 0;
    const from = Number((await rows<{ size: string }>('SELECT size FROM head'))[0]?.size);
    for (let n = 0; n < BATCHES; n++) {
      const intents = Array.from({ length: 128 }, () => admit(who, { facts: { padding: 'ab'.repeat(250) } }));
      const outcomes = intents.map((intent) => settle(intent));
      const startedAt = performance.now();
      await commit(intents);
      await commit(outcomes);
      busy += performance.now() - startedAt;
    }
    const rate = (BATCHES * 256_000) / busy;
    busy = 0;
    for (let n = 0; n < BATCHES * 2; n++) {
      const batch = await rows('SELECT * FROM entry WHERE seq >= $1 AND seq < $2', [
        from + n * 128,
        from + n * 128 + 128,
      ]);
      const text = JSON.stringify(batch);
      const startedAt = performance.now();
      await dba.query('INSERT INTO raw_entry SELECT * FROM json_populate_recordset(NULL::raw_entry, $1)', [text]);
      busy += performance.now() - startedAt;
    }
    // The first round warms both up.
    if (round === 0) continue;
    ours.push(rate);
    raw.push((BATCHES * 256_000) / busy);
  }
  return { ours: spreadOf(ours), raw: spreadOf(raw), ratio: spreadOf(ours.map((rate, n) => rate / (raw[n] ?? 1))) };
}
