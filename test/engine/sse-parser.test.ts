import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SseParser } from '#engine/sse-parser.ts';

const parse = (stream: string, size = Number.POSITIVE_INFINITY): string[] => {
  const parser = new SseParser();
  const bytes = Buffer.from(stream);
  const events: string[] = [];
  for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) {
    events.push(...parser.push(bytes.subarray(at, Math.min(bytes.length, at + size))));
  }
  return events;
};

describe('SseParser', () => {
  for (const [name, end] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ] as const) {
    it(`reads the same events however ${name} lines are cut`, () => {
      const stream = [
        ': hello',
        'data: {"text":"中🙂"}',
        '',
        'event: x',
        'data:two',
        'data: lines',
        'id: 7',
        '',
        '',
      ].join(end);
      const whole = parse(`${stream}data: [DONE]${end}${end}`);
      assert.deepEqual(whole, ['{"text":"中🙂"}', 'two\nlines', '[DONE]']);
      for (let size = 1; size < 12; size++) assert.deepEqual(parse(`${stream}data: [DONE]${end}${end}`, size), whole);
    });
  }

  it('does not take other fields, nor fields that begin alike, for data', () => {
    assert.deepEqual(parse('dataset: 1\nretry: 5\n\ndata\n\ndata:  two spaces\n\n'), ['', ' two spaces']);
  });

  it('yields no event that is not complete', () => {
    assert.deepEqual(parse('data: a\n\ndata: b\n'), ['a']);
  });

  it('refuses a line beyond all measure', () => {
    const parser = new SseParser();
    const chunk = Buffer.alloc(1 << 20, 'x');
    assert.throws(() => {
      for (let i = 0; i < 5; i++) parser.push(chunk);
    }, RangeError);
  });
});
