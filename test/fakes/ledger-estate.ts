import { batchCommitter } from '#admission/admission.postgres.ts';
import { type CommitBatch, Ledger } from '#admission/admission.service.ts';
import { voidOf } from '#admission/gate.service.ts';
import { systemClock } from '#kernel/clock.ts';
import { sha256Hex } from '#kernel/id.ts';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool, type PoolOptions } from '#postgres/pool.ts';
import type { QuotaKind } from '#quota/limit.ts';
import type { TestCluster, TestDatabase } from '../harness/postgres.ts';
import type { Who } from './ledger-items.ts';

export const ZONE = 'Asia/Shanghai';
const LONG_AGO = '2026-01-01T00:00:00Z';

/** A gateway as the log sees it: its own pool, its own instance id, its own ledger. */
export interface TestGateway {
  readonly instance: string;
  readonly pool: GuardedPool;
  readonly commit: CommitBatch;
  readonly ledger: Ledger;
}

export interface EstateOptions {
  readonly analysts?: number;
  readonly requests?: number | null;
  readonly tokens?: number | null;
  /** Other limits of an analyst; those that are not named are far away. */
  readonly limits?: Partial<Record<QuotaKind, number>>;
  /** The log's time is the clock's. Else it stands still for five seconds at least, and no minute or day ends for a whole one. */
  readonly timeRuns?: boolean;
}

/** A fresh database with analysts who are signed in, policy version 1 and quotas; and gateways on it. */
export interface Estate extends AsyncDisposable {
  readonly database: TestDatabase;
  /** As superuser: to look, and for attacks. */
  readonly dba: GuardedPool;
  readonly analysts: readonly Who[];
  /** The first analyst. */
  readonly who: Who;
  gateway(instance: string, options?: Partial<PoolOptions> & { zone?: string }): TestGateway;
  /** One value of one row, as superuser. */
  value<T>(sql: string, values?: unknown[]): Promise<T>;
  rows<T extends object>(sql: string, values?: unknown[]): Promise<T[]>;
  /** Used today, of the first analyst or another. */
  used(kind: QuotaKind, who?: Who): Promise<number>;
  /** Sets a limit past all checks; null takes it away. */
  limit(scope: string, kind: QuotaKind, amount: number | null, dryRun?: boolean): Promise<void>;
}

export async function openEstate(cluster: TestCluster, options: EstateOptions = {}): Promise<Estate> {
  const database = await cluster.freshDatabase();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => database.drop());
  const dba = stack.use(openPool(database.superuserUrl, { applicationName: 'dba', log: silentLog }));
  const analysts = Array.from({ length: options.analysts ?? 1 }, (_, n) => ({
    account: `usr_${n}`,
    session: sha256Hex(`session ${n}`),
  }));
  const [who] = analysts;
  if (who === undefined) throw new Error('an estate has at least one analyst');
  await seed(dba, analysts, options);
  const kept = stack.move();

  const rows = async <T extends object>(sql: string, values: unknown[] = []) => (await dba.query<T>(sql, values)).rows;
  const value = async <T>(sql: string, values: unknown[] = []) => {
    const [row] = await rows<Record<string, T>>(sql, values);
    return Object.values(row ?? {})[0] as T;
  };
  return {
    database,
    dba,
    analysts,
    who,
    rows,
    value,
    gateway(instance, { zone = ZONE, ...pool } = {}) {
      const opened = kept.use(
        openPool(database.runtimeUrl, { applicationName: instance, log: silentLog, max: 2, ...pool }),
      );
      const commit = batchCommitter(opened, instance, zone);
      const ledger = kept.use(new Ledger({ commit, clock: systemClock, log: silentLog, voidOf }));
      return { instance, pool: opened, commit, ledger };
    },
    used: async (kind, of = who) =>
      Number(
        (await value<string | undefined>(
          `SELECT CASE WHEN $2 NOT LIKE '%_day' OR day = (greatest(last_at, clock_timestamp()) AT TIME ZONE $3)::date
                    THEN (to_json(c)->>$2)::bigint END FROM quota_counter c, head WHERE subject = $1`,
          [`user:${of.account}`, kind, ZONE],
        )) ?? 0,
      ),
    limit: async (scope, kind, amount, dryRun = false) => {
      await rows('DELETE FROM quota_limit WHERE scope = $1 AND kind = $2', [scope, kind]);
      if (amount !== null)
        await rows('INSERT INTO quota_limit (scope, kind, amount, dry_run) VALUES ($1, $2, $3, $4)', [
          scope,
          kind,
          amount,
          dryRun,
        ]);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const FAR_AWAY = { requests_minute: 1_000_000, tokens_minute: 1_000_000_000, concurrent: 1_000_000 };

async function seed(dba: GuardedPool, analysts: readonly Who[], options: EstateOptions): Promise<void> {
  const { requests = 1_000_000, tokens = 1_000_000_000 } = options;
  await dba.query(
    `INSERT INTO account (id, username, roles, created_at)
       SELECT a, 'name of ' || a, '{analyst}', $2 FROM unnest($1::text[]) a`,
    [analysts.map(({ account }) => account), LONG_AGO],
  );
  await dba.query(
    `INSERT INTO session (ref, account_id, factors, created_at, last_seen_at, idle_seconds, expires_at)
       SELECT s, a, '{password}', now(), now(), 1800, now() + interval '12 hours'
       FROM unnest($1::text[], $2::text[]) AS z (s, a)`,
    [analysts.map(({ session }) => session), analysts.map(({ account }) => account)],
  );
  await dba.query(
    `INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at) VALUES (1, 'm', 'p', 's', 'test', $1)`,
    [LONG_AGO],
  );
  // It never goes back.
  if (!options.timeRuns)
    await dba.query("UPDATE head SET last_at = date_trunc('minute', clock_timestamp()) + interval '65 seconds'");
  await dba.query('DELETE FROM quota_limit');
  const limits = { ...FAR_AWAY, requests_day: requests, tokens_day: tokens, ...options.limits };
  for (const [kind, amount] of Object.entries(limits)) {
    if (amount === null) continue;
    await dba.query('INSERT INTO quota_limit (scope, kind, amount) VALUES ($1, $2, $3)', [
      'role:analyst',
      kind,
      amount,
    ]);
  }
}

/** Holds the head lock as somebody else's batch would, and lets him change something under it. */
export async function holdHead(estate: Estate): Promise<{ release(change?: string): Promise<void> }> {
  const client = await estate.dba.connect();
  await client.query('BEGIN; SELECT * FROM head FOR UPDATE');
  return {
    release: async (change = 'SELECT 1') => {
      await client.query(change);
      await client.query('COMMIT');
      client.release();
    },
  };
}

/** Resolves when so many statements of this gateway wait for a lock in the server. */
export const waiting = (estate: Estate, { instance }: TestGateway, count: number): Promise<void> =>
  until(
    async () =>
      (await estate.value<number>(
        "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' AND datname = current_database()",
        [instance],
      )) === count,
  );

/** Waits for something that will happen; the test runner's own time limit is the only one. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
