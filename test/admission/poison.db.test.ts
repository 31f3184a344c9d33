import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { AdmitItem, Item } from '#admission/admission.ts';
import { recordAndRefusal, recordText, refusalText } from '#audit/event.ts';
import { type Estate, openEstate } from '../fakes/ledger-estate.ts';
import { admit, change, intentEvent, note, refusedBytes } from '../fakes/ledger-items.ts';
import { type TestCluster, testCluster } from '../harness/postgres.ts';

/** Does not compress: longer than an index row may be, shorter than the bytes of an event. */
const LONG = Array.from({ length: 60 }, (_, n) => createHash('sha512').update(`${n}`).digest('base64')).join('');
const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

/** Items that get past the application's checks only because they are made by hand here. */
const POISON: Record<string, (estate: Estate) => Item> = {
  'a NUL in a column (22P05)': ({ who }) => admit(who, { record: { action: 'in\0fer' } }),
  'a lone surrogate in a column (22P02)': ({ who }) => admit(who, { record: { resource: 'model:\ud800' } }),
  'a NUL in the bytes': ({ who }) => admit(who, { record: { event: '{"a":"\0"}' } }),
  'an id that is none (22P02)': ({ who }) => admit(who, { id: 'not-a-uuid' }),
  'a missing column (23502)': ({ who }) => admit(who, { record: { kind: null as unknown as string } }),
  'a key of the wrong length (23514)': ({ who }) => ({
    ...admit(who),
    op: 'settle',
    intent: OPEN,
    used: null,
    ran: true,
    opening: 'abcd',
  }),
  'a number that is none (22P02)': ({ who }) => admit(who, { epoch: 'one' as unknown as number }),
  'a number out of range (22003)': ({ who }) => admit(who, { tokens: 2 ** 63 }),
  'a value that no index can hold (54000)': ({ who }) => admit(who, { record: { request: LONG } }),
  'nested too deeply to be written as JSON': () => change('policy.put', { model: nested(9000) }),
  'a change that does not exist (22023)': () => change('account.drop', {}),
  'an account of the same id (23505)': () =>
    change('account.create', { id: 'usr_0', username: 'x', roles: [], department: '', clearance: 0 }),
};
const OPEN = '00000000-0000-4000-8000-000000000001';

describe('no poison: an item that Postgres refuses fails alone', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });
  after(() => cluster.stop());

  for (const [name, make] of Object.entries(POISON)) {
    it(name, async () => {
      await using estate = await openEstate(cluster, { analysts: 3 });
      const { ledger, commit } = estate.gateway('gw_1');
      await commit([admit(estate.who, { id: OPEN })]);
      const items: Item[] = Array.from({ length: 100 }, (_, n) => admit(estate.analysts[n % 3] ?? estate.who));
      items.splice(57, 0, make(estate));
      items.push(note());
      const results = await Promise.allSettled(items.map((item) => ledger.submit(item)));
      const failed = results.flatMap((result, index) =>
        result.status === 'rejected' ? [`${index} ${result.reason.code}`] : [],
      );
      assert.deepEqual(failed, ['57 internal']);
      assert.ok(ledger.state().available, 'the log does not count as down');
      assert.equal(await estate.value<string>('SELECT count(*) FROM entry'), '102');
      assert.equal(
        await estate.value<string>('SELECT sum(requests_day)::text FROM quota_counter'),
        '101',
        'each admission counted once although its batch was tried again and again',
      );
    });
  }

  it('several at once, first and last', async () => {
    await using estate = await openEstate(cluster);
    const { ledger } = estate.gateway('gw_1');
    const bad = (): AdmitItem => admit(estate.who, { record: { action: '\0' } });
    const items = [
      bad(),
      ...Array.from({ length: 37 }, () => admit(estate.who)),
      bad(),
      bad(),
      admit(estate.who),
      bad(),
    ];
    const results = await Promise.allSettled(items.map((item) => ledger.submit(item)));
    assert.deepEqual(
      results.map(({ status }, index) => (status === 'rejected') === items[index]?.record.action.includes('\0')),
      items.map(() => true),
    );
  });

  it('one id twice in a batch counts once', async () => {
    await using estate = await openEstate(cluster);
    const { ledger } = estate.gateway('gw_1');
    const item = admit(estate.who);
    const verdicts = await Promise.all([item, item].map((one) => ledger.submit(one)));
    assert.deepEqual(
      verdicts.map(({ verdict }) => verdict),
      ['admitted', 'duplicate'],
    );
    assert.equal(await estate.used('requests_day'), 1);
  });
});

describe('the bytes of an event', () => {
  const who = { account: 'usr_0', session: 's' };

  it('hold no NUL and no lone surrogate, in keys and values, at any depth', () => {
    for (const bad of ['a\0b', '\ud800', 'x\udc00', '\udfff\ud800']) {
      for (const facts of [{ a: bad }, { [bad]: 1 }, { a: [{ b: [bad] }] }, { a: { [bad]: null } }]) {
        assert.throws(() => recordText(intentEvent(who, 'req', facts)), TypeError);
      }
      assert.throws(() => recordText(intentEvent(who, bad)), TypeError);
      assert.throws(() => recordText({ ...intentEvent(who, 'r'), actor: bad }), TypeError);
      assert.throws(() => refusalText(intentEvent(who, bad), 'denied'), TypeError);
    }
    assert.ok(recordText(intentEvent(who, 'req', { a: '😀' })).event.includes('😀'));
  });

  it('are 4,096 at most, counted in UTF-8', () => {
    const sized = (text: string) => recordText(intentEvent(who, 'req', { text })).event;
    const room = 4096 - Buffer.byteLength(sized(''));
    assert.equal(Buffer.byteLength(sized('a'.repeat(room))), 4096);
    assert.throws(() => sized('a'.repeat(room + 1)), /at most 4096 bytes/);
    assert.throws(() => sized('é'.repeat(room / 2 + 1)), /at most 4096 bytes/);
    assert.throws(() => sized('"'.repeat(room / 2 + 1)), /at most 4096 bytes/, 'escapes count');
  });

  it('keep their own columns whatever the facts are called', () => {
    const event = JSON.parse(
      recordText(intentEvent(who, 'req', { actor: 'usr_x', kind: 'change', outcome: 'x' })).event,
    );
    assert.deepEqual([event.actor, event.kind, event.outcome], ['usr_0', 'intent', 'admitted']);
  });

  it('of a refusal are cut around the code, also where a fact looks like it', () => {
    const facts = { a: '"outcome_code":"{code}"', b: ',"kind":"intent"😀', outcome_a: '😀', text: '{code}' };
    for (const own of [{}, { outcome_code: 'spent' }]) {
      const event = { ...intentEvent(who, 'req', facts), ...own };
      const item = recordAndRefusal(event, 'denied', 'denial');
      assert.equal(item.record.event, recordText(event).event);
      assert.equal(
        refusedBytes(item, 'revoked'),
        recordText({ ...event, kind: 'denial', outcome: 'denied', outcome_code: 'revoked' }).event,
      );
    }
    assert.throws(() => recordAndRefusal({ ...intentEvent(who, 'req'), outcome: 'a"b' }, 'denied'), TypeError);
  });
});
