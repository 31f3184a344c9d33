import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Item, Verdict } from '#admission/admission.ts';
import { Commitment } from '#audit/commitment.ts';
import type { AuditEvent } from '#audit/event.ts';
import { AuditRecorder } from '#audit/recorder.service.ts';
import type { RefusalKey } from '#audit/refusal-budget.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { fakeClock, turns, wanted } from '../fakes/ledger-commit.ts';
import { refusedBytes } from '../fakes/ledger-items.ts';

const event: AuditEvent = {
  kind: 'denial',
  actor: 'usr_1',
  action: 'infer',
  resource: 'model:demo',
  outcome: 'denied',
  outcome_code: 'forbidden',
  request: 'req_1',
};
const key: RefusalKey = { code: 'forbidden', source: '10.0.0.0/24', subject: 'usr_1' };
const bytes = (item: Item) => JSON.parse('record' in item ? item.record.event : '');

function open() {
  const items: Item[] = [];
  const clock = fakeClock(1_700_000_000_000);
  const log = { isDown: false };
  const submit = async (item: Item): Promise<Verdict> => {
    if (log.isDown) throw new Problem('audit_unavailable');
    items.push(item);
    return wanted(item);
  };
  return { items, clock, log, recorder: new AuditRecorder({ submit, clock, log: silentLog }) };
}

describe('the recorder', () => {
  it('records ten refusals of a sort singly and the others as one record a minute', async () => {
    const { items, clock, recorder } = open();
    for (let n = 0; n < 1000; n++) {
      recorder.refuse(event, key);
      clock.pass(1);
    }
    await turns();
    assert.equal(items.length, 10);
    assert.ok(items.every((item) => 'record' in item && item.record.kind === 'denial'));
    await recorder.flush();
    assert.equal(items.length, 11);
    const summary = items.at(-1) ?? assert.fail();
    assert.deepEqual(bytes(summary), {
      kind: 'refusals',
      actor: 'usr_1',
      action: 'refuse',
      resource: 'network:10.0.0.0/24',
      outcome: 'denied',
      outcome_code: 'forbidden',
      request: null,
      count: 990,
      first: '2023-11-14T22:13:20.010Z',
      last: '2023-11-14T22:13:20.999Z',
      subjects: 1,
    });
    recorder.refuse(event, key);
    await recorder[Symbol.asyncDispose]();
    assert.equal(items.length, 12, 'a new minute begins with single records again');
  });

  it('only counts what failed before a credential was known', async () => {
    const { items, recorder } = open();
    for (let n = 0; n < 5; n++) recorder.stray('tls', `192.0.2.${n}`);
    await turns();
    assert.equal(items.length, 0);
    await recorder[Symbol.asyncDispose]();
    assert.deepEqual(
      items.map((item) => [bytes(item).actor, bytes(item).count, bytes(item).resource]),
      [['anonymous', 5, 'network:192.0.2.0/24']],
    );
  });

  it('loses no refusal while the log is down', async () => {
    const { items, log, recorder } = open();
    log.isDown = true;
    for (let n = 0; n < 30; n++) recorder.refuse(event, key);
    await turns();
    await recorder.flush();
    await recorder.flush();
    assert.equal(items.length, 0);
    log.isDown = false;
    recorder.stray('tls', '::1');
    await recorder.flush();
    assert.deepEqual(new Set(items.map((item) => bytes(item).count)), new Set([30, 1]));
    await recorder.flush();
    assert.equal(items.length, 2);
    await recorder[Symbol.asyncDispose]();
  });

  it('gives a change the bytes of its own refusal', async () => {
    for (const kind of ['change', 'sign-in'] as const) {
      const { items, recorder } = open();
      await recorder.change('key.revoke', { id: 'k' }, { ...event, kind, outcome: 'completed', outcome_code: 'x' });
      const [item] = items;
      assert.ok(item?.op === 'change' && item.refusal);
      assert.deepEqual([item.name, item.change], ['key.revoke', { id: 'k' }]);
      const refused = JSON.parse(refusedBytes(item, 'not_found'));
      assert.deepEqual([refused.outcome, refused.outcome_code, refused.kind], ['denied', 'not_found', kind]);
      assert.equal(item.refusal.outcome, 'denied');
      await recorder[Symbol.asyncDispose]();
    }
  });
});

describe('a commitment', () => {
  it('is HMAC-SHA-256 under the key of its record', () => {
    const [one, two] = [new Commitment(Buffer.alloc(32, 1)), new Commitment(Buffer.alloc(32, 2))];
    assert.equal(one.opening, '01'.repeat(32));
    const text = 'déjà vu 😀';
    assert.equal(one.to(text), createHmac('sha256', Buffer.from(one.opening, 'hex')).update(text).digest('hex'));
    assert.notEqual(one.to(text), two.to(text));
  });
});
