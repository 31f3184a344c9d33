import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Lease } from '#admission/lease.service.ts';
import { readLogSize } from '#audit/growth.postgres.ts';
import { growthOf } from '#audit/growth.ts';
import { silentLog } from '#kernel/log.ts';
import { openEstate } from '../fakes/ledger-estate.ts';
import { pastRecords } from '../fakes/past-log.ts';
import { notes } from '../fakes/signed-log.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('how the log grows', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  it('is counted by the last 24 hours, also where bodies are gone', async () => {
    await using estate = await openEstate(cluster);
    const gateway = estate.gateway('gw');
    assert.deepEqual(
      { ...(await readLogSize(gateway.pool)), bytes: 0 },
      { records: 0, dayRecords: 0, dropped: 0, covered: 0, bytes: 0 },
    );
    await pastRecords(estate, 300, 500);
    await pastRecords(estate, 40, 2);
    await notes(gateway, 7);
    const size = await readLogSize(gateway.pool);
    assert.deepEqual([size.records, size.dayRecords], [347, 7]);
    assert.ok(size.bytes > 347 * 200);
    await estate.dba.query(
      'SET session_replication_role = replica; DELETE FROM entry WHERE seq < 300; RESET session_replication_role',
    );
    assert.equal((await readLogSize(gateway.pool)).dayRecords, 7);
  });

  it('days to full come from what a record with a body takes', () => {
    const size = { records: 1100, dayRecords: 100, dropped: 100, covered: 1100, bytes: 1_000_000 };
    assert.deepEqual([growthOf(size, 500_000).bytesPerDay, growthOf(size, 500_000).daysToFull], [100_000, 5]);
    assert.equal(growthOf(size, -5).daysToFull, 0);
    assert.equal(growthOf(size, null).daysToFull, null);
    assert.equal(growthOf({ ...size, dayRecords: 0 }, 5).daysToFull, null);
  });

  it('an idle gateway over a database that does not answer has lost its lease after ten seconds', async () => {
    let now = 0;
    let alive = true;
    using lease = new Lease({
      monotonic: () => now,
      renew: () => (alive ? Promise.resolve() : Promise.reject(new Error('gone'))),
      orphans: async () => [],
      keepHouse: async () => undefined,
      submit: () => Promise.reject(new Error('nothing is submitted')),
      log: silentLog,
    });
    now = 9_000;
    await lease.renew();
    now = 18_999;
    assert.equal(lease.isHeld, true);
    alive = false;
    now = 19_000;
    await assert.rejects(lease.renew());
    assert.equal(lease.isHeld, false);
    alive = true;
    await lease.renew();
    assert.equal(lease.isHeld, true);
  });
});
