import { createHash } from 'node:crypto';
import { cpus, loadavg } from 'node:os';
import { postgresAuditReader } from '#audit/audit.postgres.ts';
import type { EventFilter } from '#audit/audit.ts';
import { silentLog } from '#kernel/log.ts';
import { openPool } from '#postgres/pool.ts';
import { type Estate, openEstate } from '../test/fakes/ledger-estate.ts';
import { admit, settle } from '../test/fakes/ledger-items.ts';
import { testCluster } from '../test/harness/postgres.ts';
import { layLog, USERS } from './big-log.ts';
import { circumstances, spreadOf, spreadText, table, writeResult } from './report.ts';

const DAYS = 10;
const PAGES = 120;
const ROUNDS = 5;
const BATCHES = 40;
const LIMIT = 50;

type Search = readonly [name: string, filter: (n: number) => Omit<EventFilter, 'limit'>];

/** Shuffled by a multiplication, so that each run asks the same. */
const pick = (n: number, of: number): number => Math.floor(((n * 2_654_435_761) % 2 ** 32) * (of / 2 ** 32));

/** The request of a pair of records, as the log was laid. */
const requestId = (pair: number): string => `req_${createHash('md5').update(String(pair)).digest('hex')}`;

/** Each search with values that are common, rare and not there; on the first page and deep inside. */
function searches(count: number): Search[] {
  const deep = (n: number) => String(Math.floor(count * 0.35) + pick(n, Math.floor(count * 0.6)));
  const from = (n: number) => new Date(Date.now() - (1 + pick(n, 140)) * 3_600_000).toISOString();
  const to = (n: number) => new Date(Date.now() - pick(n, 140) * 3_600_000).toISOString();
  const anyUser = (n: number) => `usr_${pick(n, USERS)}`;
  return [
    ['no filter', () => ({})],
    ['no filter, deep', (n) => ({ cursor: deep(n) })],
    ['from, to: an hour', (n) => ({ from: from(n), to: to(n + 1) })],
    ['actor: any', (n) => ({ actor: anyUser(n) })],
    ['actor: by name', (n) => ({ actor: `user-${pick(n, USERS)}` })],
    ['actor: most frequent, deep', (n) => ({ actor: 'usr_0', cursor: deep(n) })],
    ['actor: nobody', (n) => ({ actor: `usr_none_${n}` })],
    ['action: common', () => ({ action: 'infer' })],
    ['action: common, deep', (n) => ({ action: 'infer', cursor: deep(n) })],
    ['action: rare', () => ({ action: 'users.update' })],
    ['action: none such', (n) => ({ action: `none.${n}` })],
    ['resource: common, deep', (n) => ({ resource: 'model:general', cursor: deep(n) })],
    ['resource: rare', (n) => ({ resource: `account:usr_${pick(n, 50)}` })],
    ['resource: none such', (n) => ({ resource: `model:none-${n}` })],
    ['outcome: common, deep', (n) => ({ outcome: 'completed', cursor: deep(n) })],
    ['outcome: denied, deep', (n) => ({ outcome: 'denied', cursor: deep(n) })],
    ['outcome: none such', (n) => ({ outcome: `none_${n}` })],
    ['request_id', (n) => ({ request_id: requestId(pick(n, Math.floor(count / 2))) })],
    ['request_id: none such', (n) => ({ request_id: requestId(-1 - n) })],
    ['actor + outcome rare', (n) => ({ actor: anyUser(n), outcome: 'denied' })],
    ['actor frequent + outcome denied', (n) => ({ actor: 'usr_0', outcome: 'denied', cursor: deep(n) })],
    ['actor frequent + resource rare', (n) => ({ actor: 'usr_0', resource: 'model:legal', cursor: deep(n) })],
    ['action + resource that never meet', () => ({ action: 'audit.read', resource: 'model:general' })],
    ['resource common + outcome that never meet', () => ({ resource: 'model:general', outcome: 'refused' })],
    ['resource 30 % + actor that never meet', (n) => ({ resource: 'model:code', actor: 'usr_admin', cursor: deep(n) })],
    ['two common that never meet', (n) => ({ resource: 'model:code', action: 'session.start', cursor: deep(n) })],
    [
      'all together',
      (n) => ({
        actor: anyUser(n),
        action: 'infer',
        resource: 'model:code',
        outcome: 'completed',
        from: from(n),
        cursor: deep(n),
      }),
    ],
  ];
}

/**
 * The benchmark `auditor`: pages of 50 through the auditor's own login over ten days of records (goal: p95 of 100 ms at
 * a million), and what the indexes for it cost an append.
 */
export async function runAuditor(args: readonly string[]): Promise<void> {
  const count = Number(args[0] ?? 1_000_000);
  await using cluster = await testCluster();
  await using estate = await openEstate(cluster);
  await layLog(estate, { count, days: DAYS, signer: null });
  const seen = Number(await estate.value("SELECT count(*) FROM entry WHERE at >= now() - interval '7 days'"));
  console.log(`${count} records are laid in, ${seen} of them of the last seven days`);

  await using pool = openPool(estate.database.auditorUrl, { applicationName: 'bench', log: silentLog, max: 1 });
  const reader = postgresAuditReader(pool);
  const load = loadavg()[0];
  const figures: { search: string; found: number; p50Ms: number; p95Ms: number; p99Ms: number }[] = [];
  const all: number[] = [];
  const plans = searches(count);
  await reader.page({ limit: LIMIT });
  for (const [search, filter] of plans) {
    const times: number[] = [];
    let found = 0;
    for (let n = 0; n < PAGES; n++) {
      const startedAt = performance.now();
      found += (await reader.page({ ...filter(n), limit: LIMIT })).length;
      times.push(performance.now() - startedAt);
    }
    all.push(...times);
    figures.push({ search, found: found / PAGES, ...quantiles(times) });
  }
  const row = (name: string, one: ReturnType<typeof quantiles>, found: string) => [
    name,
    found,
    ...[one.p50Ms, one.p95Ms, one.p99Ms].map((ms) => ms.toFixed(1)),
  ];
  const rows = figures.map(({ search, found, ...one }) => row(search, one, found.toFixed(1)));
  console.log(table(['search', 'found', 'p50 ms', 'p95 ms', 'p99 ms'], [...rows, row('ALL', quantiles(all), '')]));

  const append = await appendCost(estate);
  for (const { text } of append) console.log(text);
  if (count < 1_000_000) return;
  const path = await writeResult('auditor', {
    ...circumstances({}),
    loadBefore: load,
    coresSeen: cpus().length,
    plan: { count, days: DAYS, pages: PAGES, limit: LIMIT },
    all: quantiles(all),
    figures,
    append,
  });
  console.log(path);
}

function quantiles(times: readonly number[]): { p50Ms: number; p95Ms: number; p99Ms: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

const INDEXES = {
  'the two partial ones': ['entry_action', 'entry_outcome'],
  resource: ['entry_resource'],
  actor: ['entry_actor'],
  time: ['entry_at'],
} as const;

/** Records a second through `commit_batch` with all indexes, and without some of them, in interleaved rounds. */
async function appendCost({ dba, gateway, who, value }: Estate) {
  const { commit } = gateway('bench-append');
  const run = async (batches: number): Promise<number> => {
    let busy = 0;
    for (let n = 0; n < batches; n++) {
      const intents = Array.from({ length: 128 }, () => admit(who, { facts: { padding: 'ab'.repeat(100) } }));
      const outcomes = intents.map((intent) => settle(intent));
      const startedAt = performance.now();
      await commit(intents);
      await commit(outcomes);
      busy += performance.now() - startedAt;
    }
    return (batches * 256_000) / busy;
  };
  await run(BATCHES);
  const definitions = new Map<string, string>();
  for (const name of Object.values(INDEXES).flat()) {
    const definition = await value<string>('SELECT pg_get_indexdef($1::regclass)', [name]);
    definitions.set(name, definition.replace(' ON ONLY ', ' ON '));
  }
  await dba.query('SET client_min_messages = warning');
  const results: { without: string; text: string; gain: ReturnType<typeof spreadOf> }[] = [];
  for (const [without, names] of Object.entries(INDEXES)) {
    const gains: number[] = [];
    await dba.query(names.map((name) => `DROP INDEX ${name}`).join('; '));
    for (let round = 0; round < ROUNDS; round++) {
      const speed = { with: 0, without: 0 };
      // In turns, and every other round the other way round: the log grows while it is measured.
      for (const state of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        await dba.query(
          names.map((name) => (state === 'with' ? definitions.get(name) : `DROP INDEX IF EXISTS ${name}`)).join('; '),
        );
        await run(BATCHES / 8);
        speed[state] = await run(BATCHES);
        if (state === 'with') await dba.query(names.map((name) => `DROP INDEX ${name}`).join('; '));
      }
      gains.push(speed.with / speed.without);
    }
    await dba.query(names.map((name) => definitions.get(name)).join('; '));
    const gain = spreadOf(gains);
    results.push({ without, gain, text: `append with the index of ${without}: ${spreadText(gain, 2)} of without` });
  }
  return results;
}
