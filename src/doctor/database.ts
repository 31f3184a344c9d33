import { type Finding, fail, ok, warn } from './finding.ts';

/** What a connection has shown; null in place of it where none was to be had. */
export interface DatabaseFacts {
  readonly version: string;
  readonly embedded: boolean;
  readonly remote: boolean;
  readonly encrypted: boolean;
  readonly separation: 'full' | 'reduced';
  readonly pending: number;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly synchronousCommit: string;
  /** How far the database's clock is ahead of ours, and how exactly that is known; milliseconds. */
  readonly aheadMs: number;
  readonly exactMs: number;
}

/** Beyond the first, codes are refused at times and the seven days begin elsewhere than people think. */
const SKEW_MS = { warn: 2000, fail: 30_000 } as const;

export function judgeDatabase(facts: DatabaseFacts): Finding[] {
  return [judgeReach(facts), judgeDurability(facts), judgeSeparation(facts), judgeClock(facts)];
}

function judgeReach({ version, embedded, remote, encrypted, pending }: DatabaseFacts): Finding {
  const said = `Postgres ${version}${embedded ? ', embedded' : encrypted ? ', TLS' : ''}`;
  if (remote && !encrypted) return fail('database', `${said}, over a network in the clear`, 'set sslmode=verify-full');
  if (pending === 0) return ok('database', `${said}, up to date`);
  const migrations = `${said}, ${pending} migrations behind`;
  if (embedded) return warn('database', migrations, 'the next start brings it up to date');
  return fail('database', migrations, 'run `strongroom db migrate`');
}

function judgeDurability({ fsync, fullPageWrites, synchronousCommit }: DatabaseFacts): Finding {
  const said = `fsync ${fsync}, full_page_writes ${fullPageWrites}, synchronous_commit ${synchronousCommit}`;
  if (fsync === 'on' && fullPageWrites === 'on' && synchronousCommit !== 'off') return ok('durability', said);
  return fail('durability', said, 'switch it on in postgresql.conf: a committed record must survive a crash');
}

function judgeSeparation({ separation }: DatabaseFacts): Finding {
  if (separation === 'full') return ok('db_separation', 'full: who serves requests can neither audit nor sign');
  return warn(
    'db_separation',
    'reduced: one login serves requests, reads as an auditor or signs',
    'give database.auditorUrlFile and database.signerUrlFile',
  );
}

function judgeClock({ aheadMs, exactMs }: DatabaseFacts): Finding {
  const said = `the database's clock is ${Math.abs(Math.round(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead'} (give or take ${Math.ceil(exactMs)})`;
  const least = Math.max(0, Math.abs(aheadMs) - exactMs);
  const todo = 'let both machines follow the same NTP servers';
  if (least >= SKEW_MS.fail) return fail('clock', said, todo);
  return least >= SKEW_MS.warn ? warn('clock', said, todo) : ok('clock', said);
}
