import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SseParser } from '#engine/upstream/sse-parser.upstream.ts';

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

  it('reads pieces of whole events as it reads them byte by byte', () => {
    const pieces = ['data: first\n\n', 'data: a\n\ndata: 中🙂\n\n', ': ping\n\n', 'data: b\ndata: c\n\n', 'data:d\n\n'];
    pieces.push('data: e\r\n\r\n', 'data: f\n', 'data: g\n\n', '\n\n', 'data: \n\n', 'data: [DONE]\n\n');
    const parser = new SseParser();
    const events = pieces.flatMap((piece) => parser.push(Buffer.from(piece)));
    assert.deepEqual(events, parse(pieces.join(''), 1));
    assert.deepEqual(events.slice(0, 5), ['first', 'a', '中🙂', 'b\nc', 'd']);
    assert.throws(() => parser.push(Buffer.from([...Buffer.from('data: '), 0xff, 10, 10])), TypeError);
  });

  it('does not take other fields, nor fields that begin alike, for data', () => {
    assert.deepEqual(parse('dataset: 1\nretry: 5\n\ndata\n\ndata:  two spaces\n\n'), ['', ' two spaces']);
  });

  it('yields no event that is not complete', () => {
    assert.deepEqual(parse('data: a\n\ndata: b\n'), ['a']);
  });

  it('takes a byte order mark for none, and lines shorter than a field for nothing', () => {
    assert.deepEqual(parse('\ufeffdata: a\n\nid\nx\n\ndata\u003a b\n\n', 1), ['a', 'b']);
  });

  it('refuses bytes that are no text', () => {
    assert.throws(() => new SseParser().push(Buffer.from('data: \xff\xfe\n\n', 'latin1')), TypeError);
  });

  for (const [what, chunk] of [
    ['a line', 'x'.repeat(1 << 18)],
    ['an event of many lines', 'data: y\n'.repeat(1 << 15)],
    ['an event of empty lines', 'data\n'.repeat(1 << 15)],
  ] as const) {
    it(`refuses ${what} beyond all measure, and keeps no more than that`, () => {
      const parser = new SseParser();
      let sent = 0;
      assert.throws(() => {
        for (; ; sent++) parser.push(Buffer.from(chunk));
      }, RangeError);
      assert.ok(sent <= 33, `${sent} times`);
    });
  }

  it('lets any number of comments and of whole events pass', () => {
    const parser = new SseParser();
    for (let i = 0; i < 100; i++) parser.push(Buffer.from(': still there\n'.repeat(2000)));
    const event = Buffer.from(`data: ${'z'.repeat(100_000)}\n\n`);
    for (let i = 0; i < 20; i++) assert.equal(parser.push(event).length, 1);
  });
});
