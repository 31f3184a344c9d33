import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Item, Verdict } from '#admission/admission.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, change, extend, note, refusedBytes, settle } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

interface EntryRow {
  seq: string;
  at: string;
  event_id: string;
  kind: string;
  actor: string;
  action: string;
  resource: string;
  outcome: string;
  request_id: string | null;
  record: string;
  leaf: string;
}
const LOG = `SELECT e.seq, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, e.event_id, e.kind,
  e.actor, e.action, e.resource, e.outcome, e.request_id, e.record, encode(l.hash, 'hex') AS leaf
  FROM entry e LEFT JOIN leaf l ON l.seq = e.seq ORDER BY e.seq`;

describe('commit_batch', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  const sizeOf = (estate: Estate) => estate.value<string>('SELECT size FROM head').then(Number);
  const verdictOf = async (estate: Estate, item: Item): Promise<Verdict> => {
    const [verdict] = await estate.gateway(`gw_${item.id}`).commit([item]);
    assert.ok(verdict);
    return verdict;
  };

  it('answers each item with its own verdict, in the order of the items', async () => {
    await using estate = await openEstate(cluster, { analysts: 4, requests: 1 });
    const [first, second, third, fourth] = estate.analysts;
    assert.ok(first && second && third && fourth);
    const { commit } = estate.gateway('gw_1');
    const known = admit(first);
    await commit([known]);
    const closed = admit(second, { open: false });
    await commit([closed]);
    await estate.dba.query('ANALYZE');
    const batch: Item[] = [
      settle(known, 0, { ran: false }),
      settle(closed),
      known,
      admit(third, { epoch: 7 }),
      admit(first),
      admit(first),
      admit(third, { proof: { ref: 'nobody', digest: 'd' } }),
      admit({ account: 'usr_0', session: 'no such session' }),
      admit(fourth, { policy: 9 }),
      admit(third),
      note(),
      change('policy.put', { model: 'm', policy: 'q', sha256: 's', by: 'usr_0', after: 0 }),
      change('session.end', { ref: fourth.session }),
    ];
    const verdicts = await commit(batch);
    const short = verdicts.map(({ verdict, code, position }) => `${verdict} ${code} ${position?.seq ?? '-'}`);
    assert.deepEqual(short, [
      'settled null 2',
      'late late_outcome 3',
      'duplicate admitted -',
      'stale null -',
      'admitted null 4',
      'quota requests_day:user 5',
      'step_up null 6',
      'revoked null 7',
      'stale null -',
      'admitted null 8',
      'recorded null 9',
      'refused version_conflict 10',
      'changed null 11',
    ]);
    assert.equal(await sizeOf(estate), 12);
    assert.ok(verdicts.every(({ reset: { day, minute } }) => day > 0 && day <= 86_400 && minute > 0 && minute <= 60));
    assert.deepEqual(verdicts[4]?.quotas.slice(0, 2), [
      { scope: 'user', kind: 'requests_day', limit: 1, used: 1 },
      { scope: 'user', kind: 'tokens_day', limit: 1_000_000_000, used: 10 },
    ]);
  });

  it('wraps the bytes exactly, hashes them as RFC 9162 does, counts densely from 0 and never runs backwards', async () => {
    await using estate = await openEstate(cluster, { analysts: 3 });
    const { commit } = estate.gateway('gw_1');
    const odd = { text: 'é "quoted" \\ \u2028 😀 \u007f\u0001 </script>', zeta: 1, alpha: [true, null, -5] };
    const items: Item[][] = [];
    let open: ReturnType<typeof admit>[] = [];
    for (let batch = 0; batch < 8; batch++) {
      const next = estate.analysts.map((who) => admit(who, { facts: odd, epoch: batch === 3 ? 99 : 1 }));
      items.push([...open.map((intent) => settle(intent)), ...next, note('odd', odd)]);
      open = batch === 3 ? [] : next;
    }
    const verdicts: Verdict[] = [];
    for (const batch of items) verdicts.push(...(await commit(batch)));
    const all = items.flat();
    const appended = all.flatMap((item, index) => {
      const verdict = verdicts[index];
      return verdict?.position ? [{ item, position: verdict.position }] : [];
    });
    const rows = await estate.rows<EntryRow>(LOG);
    assert.equal(rows.length, appended.length);
    assert.ok(rows.length < all.length, 'stale left no record');
    let last = '';
    for (const [index, row] of rows.entries()) {
      const { item, position } = appended[index] ?? assert.fail();
      assert.equal(
        row.record,
        `{"at":"${row.at}","event":${'record' in item && item.record.event},"seq":${index},"v":1}`,
      );
      assert.equal(row.leaf, createHash('sha256').update('\0').update(row.record, 'utf8').digest('hex'));
      assert.deepEqual(position, { seq: index, at: row.at, leaf: row.leaf });
      assert.equal(Number(row.seq), index);
      assert.match(row.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      assert.ok(row.at >= last, 'time runs forward');
      last = row.at;
    }
  });

  it('keeps columns that say what the bytes say, for wanted and refused ones', async () => {
    await using estate = await openEstate(cluster, { requests: 1 });
    const { commit } = estate.gateway('gw_1');
    const kept = admit(estate.who);
    const facts = { a: '😀', n: ',"outcome":"admitted"', outcome_a: 'é😀', z: '😀' };
    const refused = admit(estate.who, { facts });
    await commit([kept, refused, admit({ ...estate.who, session: 'gone' })]);
    await commit([settle(kept), settle(kept)]);
    await commit([note(), change('key.revoke', { id: 'none', account: 'none' })]);
    const rows = await estate.rows<EntryRow>(LOG);
    assert.equal(rows.length, 7);
    assert.ok(rows[1]?.record.includes(`"event":${refusedBytes(refused, 'requests_day:user')},`));
    const codes: unknown[] = [];
    for (const row of rows) {
      const { event } = JSON.parse(row.record);
      assert.ok(row.record.includes(`"event":${canonicalJson(event)},`), 'RFC 8785, the code filled in');
      assert.deepEqual(
        { kind: row.kind, actor: row.actor, action: row.action, resource: row.resource, outcome: row.outcome },
        {
          kind: event.kind,
          actor: event.actor,
          action: event.action,
          resource: event.resource,
          outcome: event.outcome,
        },
      );
      assert.equal(row.request_id, event.request);
      codes.push([event.kind, event.outcome, event.outcome_code]);
    }
    assert.deepEqual(codes, [
      ['intent', 'admitted', undefined],
      ['denial', 'denied', 'requests_day:user'],
      ['denial', 'denied', 'revoked'],
      ['outcome', 'completed', undefined],
      ['outcome', 'late_outcome', 'late_outcome'],
      ['system', 'completed', undefined],
      ['change', 'denied', 'not_found'],
    ]);
  });

  it('never lets time run backwards, whatever the clock of the server says', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    await commit([note()]);
    await estate.dba.query("UPDATE head SET last_at = now() + interval '1 hour'");
    const ahead = await estate.value<Date>('SELECT last_at FROM head');
    const [verdict] = await commit([note()]);
    assert.equal(verdict?.position?.at.slice(0, 23), ahead.toISOString().slice(0, 23));
  });

  it('judges revocation: ended, expired and idle sessions, disabled accounts, revoked and expired keys', async () => {
    await using estate = await openEstate(cluster, { analysts: 6 });
    const { commit } = estate.gateway('gw_1');
    await estate.dba.query(`
      UPDATE session SET ended_at = now() WHERE account_id = 'usr_0';
      UPDATE session SET expires_at = now() - interval '1 ms' WHERE account_id = 'usr_1';
      UPDATE session SET last_seen_at = now() - interval '1801 s' WHERE account_id = 'usr_2';
      UPDATE account SET disabled_at = now() WHERE id = 'usr_3';
      INSERT INTO api_key (id, account_id, name, secret_hash, created_at, expires_at, revoked_at) VALUES
        ('live', 'usr_4', 'n', 'h1', now(), NULL, NULL), ('gone', 'usr_4', 'n', 'h2', now(), NULL, now()),
        ('old', 'usr_4', 'n', 'h3', now(), now() - interval '1 ms', NULL),
        ('disabled', 'usr_3', 'n', 'h4', now(), NULL, NULL)`);
    const byKey = (ref: string) => admit(estate.who, { credential: { kind: 'api_key', ref } });
    const verdicts = await commit([
      ...estate.analysts.map((who) => admit(who)),
      ...['live', 'gone', 'old', 'disabled', 'none'].map(byKey),
      // A key's id is no session and the other way round.
      admit(estate.who, { credential: { kind: 'session', ref: 'live' } }),
    ]);
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      [...Array(4).fill('revoked'), 'admitted', 'admitted', 'admitted', ...Array(5).fill('revoked')],
    );
  });

  it('finds every standing stale while there is no policy at all', async () => {
    await using estate = await openEstate(cluster);
    await estate.dba.query('ALTER TABLE policy_version DISABLE TRIGGER USER; DELETE FROM policy_version');
    assert.equal((await verdictOf(estate, admit(estate.who))).verdict, 'stale');
  });

  it('keeps a used session from idling and leaves an expired one alone', async () => {
    await using estate = await openEstate(cluster, { analysts: 2 });
    await estate.dba.query("UPDATE session SET last_seen_at = now() - interval '31 s'");
    await estate.dba.query("UPDATE session SET expires_at = now() WHERE account_id = 'usr_1'");
    await estate.gateway('gw_1').commit(estate.analysts.map((who) => admit(who)));
    const seen = await estate.rows<{ fresh: boolean }>(
      "SELECT last_seen_at > now() - interval '20 s' AS fresh FROM session ORDER BY account_id",
    );
    assert.deepEqual(seen, [{ fresh: true }, { fresh: false }]);
  });

  it('refuses a batch in which an admission follows a change, or a settlement or an extension an admission', async () => {
    await using estate = await openEstate(cluster);
    const { commit, ledger } = estate.gateway('gw_1');
    const intent = admit(estate.who);
    const wrong = [
      [change('session.end', { ref: 'none' }), admit(estate.who)],
      [intent, settle(intent)],
      [change('session.end', { ref: 'none' }), settle(intent)],
      [admit(estate.who), extend(intent, 1)],
    ];
    for (const batch of wrong) await assert.rejects(commit(batch), { sqlstate: 'P0001', fate: 'rolled_back' });
    assert.equal(await sizeOf(estate), 0);
    // The queue sorts them, so through the ledger they do arrive.
    const all = await Promise.all(wrong.flat().map((item) => ledger.submit(item)));
    assert.equal(all.length, 8);
  });

  it('spends a step-up proof once, for its own operation and account, and not when the quota refuses', async () => {
    await using estate = await openEstate(cluster, { analysts: 2 });
    const [who, other] = estate.analysts;
    assert.ok(who && other);
    const { commit } = estate.gateway('gw_1');
    await estate.dba.query(
      `INSERT INTO step_up_challenge (ref, account_id, session, digest, operation, proof_ref, proof_until, created_at)
       SELECT 'c' || n, 'usr_0', $1, 'digest', 'op', 'proof' || n, now() + CASE n WHEN 3 THEN interval '-1 ms' ELSE interval '1 min' END, now()
       FROM generate_series(1, 3) n`,
      [who.session],
    );
    const proof = (n: number, digest = 'digest') => ({ ref: `proof${n}`, digest });
    const verdicts = await commit([
      admit(who, { proof: proof(1, 'another digest') }),
      admit(other, { proof: proof(1) }),
      admit(who, { proof: proof(1), tokens: 2_000_000_000 }),
      admit(who, { proof: proof(1) }),
      admit(who, { proof: proof(1) }),
      admit(who, { proof: proof(3) }),
    ]);
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      ['step_up', 'step_up', 'quota', 'admitted', 'step_up', 'step_up'],
    );
    const parallel = await Promise.all(
      Array.from({ length: 12 }, (_, n) => estate.gateway(`p${n}`).commit([admit(who, { proof: proof(2) })])),
    );
    assert.equal(parallel.flat().filter(({ verdict }) => verdict === 'admitted').length, 1);
  });

  it('keeps the key of a commitment for an outcome that counted, and for no other', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const intent = admit(estate.who);
    await commit([intent]);
    const opening = 'ab'.repeat(32);
    await commit([settle(intent, null, { opening }), settle(intent, null, { opening })]);
    const kept = await estate.rows("SELECT seq::int, encode(key, 'hex') AS key FROM opening");
    assert.deepEqual(kept, [{ seq: 1, key: opening }]);
  });

  it('answers a change that was committed before as it did then', async () => {
    await using estate = await openEstate(cluster);
    const { commit } = estate.gateway('gw_1');
    const signIn = change('session.create', {
      account: 'usr_0',
      epoch: 1,
      ref: 'new',
      factors: ['password'],
      totp_step: null,
      idle_seconds: 60,
      ttl_seconds: 60,
    });
    const refused = change('policy.put', { model: 'm', policy: 'p', sha256: 's', by: 'x', after: 7 });
    const first = await commit([signIn, refused]);
    const again = await commit([signIn, refused]);
    assert.deepEqual(
      again.map(({ verdict, code, detail }) => ({ verdict, code, detail })),
      first.map(({ verdict, code, detail }) => ({ verdict, code, detail })),
    );
    assert.deepEqual(
      again.map(({ verdict }) => verdict),
      ['changed', 'refused'],
    );
    assert.equal(await sizeOf(estate), 2);
  });
});
