import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { postgresGuesses } from '#identity/users.postgres.ts';
import { silentLog } from '#kernel/log.ts';
import { type GuardedPool, openPool } from '#postgres/pool.ts';
import { type TestCluster, type TestDatabase, testCluster } from '../harness/postgres.ts';

const WHAT = 'sign-in mei';

describe('guesses are counted in the database', () => {
  let cluster: TestCluster;
  let database: TestDatabase;
  let pools: GuardedPool[];
  let dba: GuardedPool;

  before(async () => {
    cluster = await testCluster();
    database = await cluster.freshDatabase();
    const common = { log: silentLog, max: 8 };
    pools = ['a', 'b'].map((applicationName) => openPool(database.runtimeUrl, { ...common, applicationName }));
    dba = openPool(database.superuserUrl, { ...common, applicationName: 'dba' });
  });
  after(async () => {
    for (const pool of [...pools, dba]) await pool.close();
    await cluster.stop();
  });
  beforeEach(() => dba.query('DELETE FROM strongroom.guess'));

  const [first, second] = [0, 1].map((at) => ({
    take: (what = WHAT, device = '') => postgresGuesses(pools[at] as GuardedPool).take(what, device),
    giveBack: (what = WHAT, device = '') => postgresGuesses(pools[at] as GuardedPool).giveBack(what, device),
    clear: (what = WHAT, device = '') => postgresGuesses(pools[at] as GuardedPool).clear(what, device),
  })) as [Limiter, Limiter];
  type Limiter = {
    take(what?: string, device?: string): Promise<number>;
    giveBack(what?: string, device?: string): Promise<void>;
    clear(what?: string, device?: string): Promise<void>;
  };

  /** Time goes by: the row grows older. */
  const wait = (interval: string) =>
    dba.query('UPDATE strongroom.guess SET since = since - $1::interval, locked_until = locked_until - $1::interval', [
      interval,
    ]);
  const takes = async (limiter: Limiter, n: number) => {
    const waits: number[] = [];
    for (let i = 0; i < n; i++) waits.push(await limiter.take());
    return waits;
  };

  it('judges five of 10,000 that come at once over two gateways', async () => {
    const lanes = Array.from({ length: 100 }, (_, n) => takes(n % 2 ? first : second, 100));
    const waits = (await Promise.all(lanes)).flat();
    assert.equal(waits.length, 10_000);
    assert.equal(waits.filter((seconds) => seconds === 0).length, 5);
    assert.ok(waits.every((seconds) => seconds >= 0 && seconds <= 60));
  });

  it('locks for one minute, then two, four … an hour at most; each lock that runs out gives five more', async () => {
    const locks: number[] = [];
    for (let round = 0; round < 9; round++) {
      assert.deepEqual(await takes(first, 5), [0, 0, 0, 0, 0], `round ${round}`);
      locks.push(await second.take());
      await wait(`${locks.at(-1)} seconds`);
    }
    assert.deepEqual(locks, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
  });

  it('does not move the lock while it holds', async () => {
    await takes(first, 5);
    await wait('59 seconds');
    assert.equal(await first.take(), 1);
    assert.equal(await second.take(), 1);
    await wait('1 second');
    assert.equal(await first.take(), 0);
  });

  it('forgets four failures after fifteen minutes and not before', async () => {
    await takes(first, 4);
    await wait('14 minutes 50 seconds');
    assert.equal(await first.take(), 0);
    assert.ok((await first.take()) > 0, 'the fifth in fifteen minutes locks');
    await first.clear();
    await takes(first, 4);
    await wait('15 minutes 1 second');
    assert.deepEqual(await takes(first, 5), [0, 0, 0, 0, 0]);
  });

  it('is stricter after a lock: for a day, five failures lock again however slowly they come', async () => {
    await takes(first, 5);
    await wait('1 hour');
    for (let n = 0; n < 5; n++) {
      assert.equal(await first.take(), 0);
      if (n < 4) await wait('20 minutes');
    }
    assert.equal(await first.take(), 120);
  });

  it('begins again at one minute after a day without a lock', async () => {
    for (let round = 0; round < 3; round++) {
      await takes(first, 5);
      await wait('1 hour');
    }
    await wait('1 day');
    await takes(first, 5);
    assert.equal(await first.take(), 60);
  });

  it('success clears, for this device only', async () => {
    await takes(first, 5);
    await first.take(WHAT, 'phone');
    await second.clear(WHAT, 'phone');
    assert.ok((await first.take()) > 0);
    await second.clear();
    assert.deepEqual(await takes(first, 5), [0, 0, 0, 0, 0]);
  });

  it('a guess that was none is given back, the lock of the fifth with it', async () => {
    await takes(first, 5);
    await second.giveBack();
    assert.equal(await first.take(), 0);
    assert.equal(await first.take(), 60, 'the lock has not grown');
    for (let i = 0; i < 3; i++) await first.giveBack();
    await first.clear();
    await first.giveBack();
    assert.deepEqual(await takes(first, 5), [0, 0, 0, 0, 0]);
    assert.equal(await first.take(), 60, 'what is given back too often gives no credit');
  });

  it('counts devices and accounts apart', async () => {
    await takes(first, 5);
    assert.equal(await first.take(WHAT, 'phone'), 0);
    assert.equal(await first.take('sign-in kim', ''), 0);
    assert.ok((await first.take()) > 0);
  });
});
