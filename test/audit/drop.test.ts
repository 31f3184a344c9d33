import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { covers, type DropStatement, dropFault, dropText, parseDrop, parseRanges, rangesText } from '#audit/drop.ts';
import { Config } from '#config/schema.ts';

const DROP: DropStatement = {
  origin: 'bank.example/log',
  from: 512,
  to: 768,
  newest: '2025-01-01T00:00:00.000000Z',
  days: 400,
  root: new Uint8Array(32).fill(7),
  dropped: [
    { from: 0, to: 256 },
    { from: 512, to: 768 },
  ],
};
const after = (days: number) => new Date(Date.parse(DROP.newest) + days * 86_400_000).toISOString();

describe('what a record of dropped bodies says', () => {
  it('is one text, read back to the letter', () => {
    assert.deepEqual(parseDrop(dropText(DROP)), DROP);
    assert.equal(rangesText(parseRanges('0-256,512-768')), '0-256,512-768');
  });

  it('is refused in any other spelling', () => {
    const text = dropText(DROP);
    for (const [from, to] of [
      ['512-768\n', '512-768,800-900\n'],
      ['512-768\n', '0512-768\n'],
      ['0-256,512-768', '0-256'],
      ['0-256,512-768', '512-768,0-256'],
      ['0-256,512-768', '0-600,512-768'],
      ['0-256,512-768', '768-512'],
      ['/v1', '/v2'],
      ['.000000Z', 'Z'],
      ['\n400\n', '\n-400\n'],
      ['BwcH', 'BwcHBwcH'],
      ['Z\n', 'Z\n\n'],
    ] as const) {
      assert.notEqual(text.replace(from, to), text, from);
      assert.throws(() => parseDrop(text.replace(from, to)), { name: 'NoteFault' }, `${from} → ${to}`);
    }
    assert.throws(() => parseDrop(`${text}more\n`), { name: 'NoteFault' });
    for (const junk of ['', '\n', 'a\n1\nb\n']) assert.throws(() => parseDrop(junk), { name: 'NoteFault' });
  });

  it('is a fault before 184 days, and before the days that it says', () => {
    assert.equal(dropFault(DROP, after(400)), null);
    assert.match(dropFault(DROP, after(399)) ?? '', /before 400 days/);
    assert.match(dropFault({ ...DROP, days: 184 }, after(183.99)) ?? '', /after 183 days, 184 is the least/);
    assert.equal(dropFault({ ...DROP, days: 184 }, after(184)), null);
    assert.match(dropFault({ ...DROP, days: 1 }, after(200)) ?? '', /before 1 days/);
    assert.ok(dropFault(DROP, 'never') !== null);
  });

  it('covers what lies within one range', () => {
    assert.equal(covers(DROP.dropped, { from: 600, to: 768 }), true);
    assert.equal(covers(DROP.dropped, { from: 200, to: 600 }), false);
  });

  it('can not be set to less than 184 days', () => {
    assert.equal(Config.parse({}).audit.retentionDays, 400);
    assert.equal(Config.parse({ audit: { retentionDays: 184 } }).audit.retentionDays, 184);
    assert.throws(() => Config.parse({ audit: { retentionDays: 183 } }), /184 or more/);
  });
});
