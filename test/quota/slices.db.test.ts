import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Verdict } from '#admission/admission.ts';
import { QUOTA_KINDS } from '#quota/limit.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, change, extend, settle, takeOf } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

describe('tokens are reserved in slices', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const short = ({ verdict, code, tokens }: Verdict) => `${verdict} ${code} ${tokens}`;
  const books = async (estate: Estate) =>
    Promise.all(QUOTA_KINDS.map((kind) => estate.used(kind))).then((used) => used.join(' '));
  const reserved = (estate: Estate) => estate.value<string>('SELECT tokens FROM open_intent').then(Number);

  it('takes as many as are left, not fewer than the least, and nothing at all below that', async () => {
    await using estate = await openEstate(cluster, { tokens: 1000 });
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who, { take: { ...takeOf(estate.who, 768), least: 257 } });
    const [first] = await commit([item]);
    assert.equal(short(first ?? assert.fail()), 'admitted null 768');
    const verdicts = await commit([extend(item, 100), extend(item, 512, 200), extend(item, 512, 1), extend(item, 1)]);
    assert.deepEqual(verdicts.map(short), [
      'extended null 100',
      'extended tokens_day:user 0',
      'extended tokens_day:user 132',
      'extended tokens_day:user 0',
    ]);
    assert.equal(await books(estate), '1 1000 1 1000 1');
    assert.equal(await reserved(estate), 1000);
    const other = admit(estate.who, { take: { ...takeOf(estate.who, 768), least: 257 } });
    assert.equal((await commit([settle(item, 600), other]))[1]?.tokens, 400, 'of a slice only what is left');
    assert.equal(await books(estate), '2 1000 2 1000 1');
  });

  it('the strictest of all counters of its admission decides', async () => {
    await using estate = await openEstate(cluster);
    await estate.limit('model:demo', 'tokens_minute', 300);
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who, { take: takeOf(estate.who, 200, 'model:demo', 'department:risk') });
    await commit([item]);
    // Set while it runs: it did not take from it and gives nothing back to it.
    await estate.limit('department:risk', 'tokens_day', 10);
    const [verdict] = await commit([extend(item, 512)]);
    assert.equal(short(verdict ?? assert.fail()), 'extended tokens_minute:model 100');
    await commit([settle(item, 250)]);
    assert.deepEqual(
      await estate.rows('SELECT subject, tokens_day::int AS t, tokens_minute::int AS m FROM quota_counter ORDER BY 1'),
      [
        { subject: 'model:demo', t: 250, m: 250 },
        { subject: 'user:usr_0', t: 250, m: 250 },
      ],
    );
  });

  it('gives back, and serves who asks next in the same batch', async () => {
    await using estate = await openEstate(cluster, { tokens: 1000 });
    const { commit } = estate.gateway('gw_1');
    const [item, next] = [admit(estate.who, { tokens: 1000 }), admit(estate.who, { tokens: 700 })];
    const verdicts = [...(await commit([item])), ...(await commit([extend(item, -700, 0), next]))];
    assert.deepEqual(verdicts.map(short), ['admitted null 1000', 'extended null -700', 'admitted null 700']);
    assert.equal(await books(estate), '2 1000 2 1000 2');
    const [more] = await commit([extend(item, -900, 0)]);
    assert.equal(more?.tokens, -300, 'never more than it holds');
  });

  it('a retry of an extension answers what the first try did, and takes nothing more', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who);
    await commit([item]);
    const more = extend(item, 512);
    assert.deepEqual(
      [...(await commit([more])), ...(await commit([more]))].map(short),
      Array(2).fill('extended null 512'),
    );
    assert.equal(await reserved(estate), 522);
  });

  it('leaves no record, and none for what is settled, another gateway’s or never was', async () => {
    await using estate = await openEstate(cluster);
    const [mine, other] = [estate.gateway('gw_1'), estate.gateway('gw_2')];
    const item = admit(estate.who);
    await mine.commit([item]);
    assert.equal((await other.commit([extend(item, 5)]))[0]?.verdict, 'late');
    assert.equal((await mine.commit([extend(admit(estate.who), 5)]))[0]?.verdict, 'late');
    await mine.commit([extend(item, 5)]);
    assert.deepEqual(
      (await mine.commit([settle(item, 11), extend(item, 5)])).map(({ verdict }) => verdict),
      ['settled', 'late'],
    );
    assert.equal(await estate.value<string>('SELECT count(*) FROM entry'), '2');
    assert.equal(await books(estate), '1 11 1 11 0');
  });

  it('keeps its place: after settlements, before changes', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who);
    await commit([item]);
    const logout = change('session.end', { ref: 'none' });
    await assert.rejects(commit([logout, extend(item, 5)]), { sqlstate: 'P0001' });
    await assert.rejects(commit([extend(item, 5), settle(item, 5)]), { sqlstate: 'P0001' });
    await assert.rejects(commit([{ ...extend(item, 5), take: { counters: [], tokens: 5, least: 1 } }]));
    assert.equal(await reserved(estate), 10);
  });

  it('over midnight: a slice counts on the day that gave it, and goes back to it', async () => {
    await using estate = await openEstate(cluster);
    await estate.dba.query("UPDATE session SET last_seen_at = '2199-06-30T15:50Z', expires_at = '2200-01-01'");
    const at = (text: string) => estate.dba.query('UPDATE head SET last_at = $1::timestamptz', [text]);
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who, { tokens: 300 });
    await at('2199-06-30T15:59:59Z');
    await commit([item]);
    await at('2199-06-30T16:00:30Z');
    await commit([extend(item, 512)]);
    assert.equal(await books(estate), '0 512 0 512 1');
    await at('2199-06-30T16:01:00Z');
    await commit([extend(item, 100)]);
    assert.equal(await books(estate), '0 612 0 100 1');
    // 350 of 912 used: 562 back, 100 of them to this minute, and none to the day before.
    await commit([settle(item, 350)]);
    assert.equal(await books(estate), '0 50 0 0 0');
  });

  it('a limit that is taken away while it runs is no free answer', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const item = admit(estate.who);
    await commit([item]);
    await estate.limit('role:analyst', 'tokens_day', null);
    assert.equal((await commit([extend(item, 512)]))[0]?.tokens, 0);
  });
});
