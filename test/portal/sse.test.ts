import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SseEvent, SseParser } from '#portal/sse.ts';

const all = (...pieces: readonly string[]): SseEvent[] => {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
};
const data = (...pieces: readonly string[]): string[] => all(...pieces).map((event) => event.data);

test('an event ends at a blank line, whichever of the three line ends is used', () => {
  assert.deepEqual(data('data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n'), ['a', 'b', 'c', 'd']);
});

test('the same events come out wherever the stream is cut', () => {
  const stream =
    '\uFEFF: promise\r\n\r\ndata: {"a":1}\r\ndata:two\r\n\r\nevent: note\ndata\n\ndata: 你好🏦\n\ndata: [DONE]\n\n';
  const whole = all(stream);
  assert.deepEqual(whole, [
    { event: 'message', data: '{"a":1}\ntwo' },
    { event: 'note', data: '' },
    { event: 'message', data: '你好🏦' },
    { event: 'message', data: '[DONE]' },
  ]);
  for (let cut = 0; cut <= stream.length; cut++) assert.deepEqual(all(stream.slice(0, cut), stream.slice(cut)), whole);
  assert.deepEqual(all(...stream), whole);
});

test('comments, unknown fields and events without data are dropped', () => {
  assert.deepEqual(
    data(': audit-promise x\n\n', 'id: 4\nretry: 10\n\n', 'event: ping\n\n', 'data: a\n: c\nfoo: b\n\n'),
    ['a'],
  );
});

test('one space after the colon goes, further ones stay', () => {
  assert.deepEqual(data('data:  a\n\ndata:a: b\n\n'), [' a', 'a: b']);
});

test('what the end of the stream cuts off is never dispatched', () => {
  assert.deepEqual(data('data: [DONE]'), []);
  assert.deepEqual(data('data: [DONE]\n'), []);
  assert.deepEqual(data('data: a\n\r'), []);
});

test('a long line in many pieces stays one line', () => {
  const pieces = Array.from({ length: 500 }, () => 'x'.repeat(100));
  assert.equal(data('data: ', ...pieces, '\n\n')[0]?.length, 50_000);
});
