import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WholeRow } from '#audit/export-lines.ts';
import { framed, syslogMessage } from '#audit/syslog.ts';

const row = (change: object = {}, record = '{"seq":7}'): WholeRow => ({
  seq: 7,
  record,
  leaf: new Uint8Array(32).fill(0xab),
  columns: {
    seq: 7,
    at: '2026-11-21T04:05:06.123456Z',
    kind: 'outcome',
    actor: 'usr_1',
    action: 'infer',
    resource: 'model:demo',
    outcome: 'completed',
    request_id: 'req_1',
    eventId: '00000000-0000-0000-0000-000000000000',
    ...change,
  },
});
const text = (one: WholeRow, host = 'gw-1.bank.example') => syslogMessage(one, host).toString('utf8');

test('a record is a message of RFC 5424, to the letter', () => {
  assert.equal(
    text(row()),
    `<110>1 2026-11-21T04:05:06.123456Z gw-1.bank.example strongroom - outcome [strongroom@32473 seq="7" leaf="${'ab'.repeat(32)}" actor="usr_1" action="infer" resource="model:demo" outcome="completed" request="req_1"] \ufeff{"seq":7}`,
  );
  assert.doesNotMatch(text(row({ request_id: null })), / request=/);
});

test('the severity tells what deserves a look: log audit (13) with warning, notice, informational', () => {
  const priority = (change: object) => /^<(\d+)>1 /.exec(text(row(change)))?.[1];
  assert.equal(priority({ kind: 'denial', outcome: 'denied' }), '108');
  assert.equal(priority({ outcome: 'failed' }), '108');
  assert.equal(priority({ kind: 'refusals', outcome: 'counted' }), '108');
  assert.equal(priority({ kind: 'change' }), '109');
  assert.equal(priority({ kind: 'sign-in' }), '110');
});

test('values can not end their quotes, nor the element; names hold nothing that is not printable', () => {
  const message = text(row({ actor: 'a"] [x="\\', kind: 'sign in\n' }), 'höst name');
  assert.match(message, / actor="a\\"\\] \[x=\\"\\\\" action/);
  assert.match(message, /^<110>1 \S+ hstname strongroom - signin \[/);
  assert.match(text(row(), '主机'), / - strongroom - /);
});

test('frames count bytes, not characters', () => {
  const message = syslogMessage(row({}, '{"text":"你好"}'), 'h');
  const frame = framed(message).toString('latin1');
  assert.ok(frame.startsWith(`${message.length} <110>1 `));
  assert.equal(frame.length, String(message.length).length + 1 + message.length);
});
