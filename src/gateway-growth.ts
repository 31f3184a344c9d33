import { statfs } from 'node:fs/promises';
import { resolve } from 'node:path';
import { readLogSize } from '#audit/growth.postgres.ts';
import { type Growth, growthOf } from '#audit/growth.ts';
import type { Config } from '#config/schema.ts';
import type { Log } from '#kernel/log.ts';
import type { GuardedPool } from '#postgres/pool.ts';

export interface GrowthDeps {
  readonly config: Config;
  readonly base: string;
  readonly database: { readonly embedded: boolean };
  readonly pool: GuardedPool;
  readonly log: Log;
}

const SAMPLE_MS = 60_000;
const FIRST_MS = 5_000;

/** Samples how the log grows, so that the metrics need no Postgres: what was read last stays until it can be read again. */
export function watchGrowth({ config, base, database, pool, log }: GrowthDeps): { last(): Growth | null } & Disposable {
  let last: Growth | null = null;
  const free = async (bytes: number): Promise<number | null> => {
    const { capacityBytes } = config.audit;
    if (capacityBytes !== undefined) return capacityBytes - bytes;
    if (!database.embedded) return null;
    const { bavail, bsize } = await statfs(resolve(base, config.dataDir));
    return bavail * bsize;
  };
  const sample = async () => {
    try {
      const size = await readLogSize(pool);
      last = growthOf(size, await free(size.bytes));
    } catch (error) {
      log.debug('the growth of the log can not be read now', { error });
    }
  };
  const timers = [setTimeout(sample, FIRST_MS), setInterval(sample, SAMPLE_MS)];
  for (const timer of timers) timer.unref();
  return {
    last: () => last,
    [Symbol.dispose]: () => {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
