import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterPath, NO_FILTER } from '#portal/event-filter.ts';
import { clockTime, percent, retryAfter, shortDigest, shortId, stamp, wait, zoneName } from '#portal/format.ts';
import { rosettePath, sealShapes } from '#portal/rosette.ts';

test('a time is shown in the reader’s zone, sortable, with the zone’s offset', () => {
  assert.equal(stamp('2026-11-20T16:05:07.123456Z', 'Asia/Shanghai'), '2026-11-21 00:05:07');
  assert.equal(stamp('2026-11-20T16:05:07Z', 'UTC'), '2026-11-20 16:05:07');
  assert.equal(zoneName('2026-11-20T16:05:07Z', 'Asia/Shanghai'), 'UTC+08:00');
  assert.equal(zoneName('2026-11-20T16:05:07Z', 'UTC'), 'UTC');
  assert.equal(stamp('not a time'), 'not a time');
});

test('the day is named only where it is another one', () => {
  const now = Date.parse('2026-11-21T01:00:00Z');
  assert.equal(clockTime('2026-11-21T16:00:00Z', now, 'UTC'), '16:00');
  assert.equal(clockTime('2026-11-22T00:00:00Z', now, 'UTC'), '2026-11-22 00:00');
});

test('digests are cut in the middle and keep their prefix', () => {
  assert.equal(shortDigest(`sha256:${'ab'.repeat(32)}`), 'sha256:abababab…abab');
  assert.equal(shortDigest('ab'.repeat(32)), 'abababab…abab');
  assert.equal(shortDigest('abcd'), 'abcd');
  assert.equal(shortId('usr_3b9e1cd75f2248f3a8e4c2e1b6d5c003'), 'usr_3b9e1cd7…c003');
  assert.equal(shortId('system'), 'system');
});

test('percentages stay between 0 and 100', () => {
  assert.deepEqual([percent(1, 4), percent(5, 4), percent(-1, 4), percent(0, 0)], [25, 100, 0, 100]);
});

test('waits come in the largest unit that is still exact enough, never below one', () => {
  assert.deepEqual(wait(0), { amount: 1, unit: 'seconds' });
  assert.deepEqual(wait(89), { amount: 89, unit: 'seconds' });
  assert.deepEqual(wait(91), { amount: 2, unit: 'minutes' });
  assert.deepEqual(wait(20_000), { amount: 6, unit: 'hours' });
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-11-21T01:00:00Z');
  assert.equal(retryAfter('12', now), 12);
  assert.equal(retryAfter('Sat, 21 Nov 2026 01:00:30 GMT', now), 30);
  assert.equal(retryAfter('Sat, 21 Nov 2026 00:00:30 GMT', now), 0);
  assert.equal(retryAfter(null, now), null);
  assert.equal(retryAfter('soon', now), null);
});

test('the whole week names no time; values are encoded; empty filters are left out', () => {
  assert.equal(filterPath(NO_FILTER, 0, null), '/audit/events');
  const path = filterPath({ ...NO_FILTER, period: 'hour', actor: ' a&b ', outcome: 'denied' }, 3_600_000, '17');
  assert.equal(path, '/audit/events?from=1970-01-01T00%3A00%3A00.000Z&actor=a%26b&outcome=denied&cursor=17');
});

test('different hashes give different seals, and the drawing holds numbers only', () => {
  const drawn = ['00'.repeat(32), '7f'.repeat(32)].map((hash) => sealShapes(hash).map(rosettePath).join(''));
  assert.notEqual(drawn[0], drawn[1]);
  for (const path of drawn) assert.match(path, /^[MLZ\d. -]+$/);
});
