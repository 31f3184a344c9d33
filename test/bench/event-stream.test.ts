import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerReader, type StreamedAnswer } from '../../bench/event-stream.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const event = (data: object | string): string => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
const say = (content: string) => event({ choices: [{ delta: { content }, finish_reason: null }] });
const USAGE = { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
const END = [
  event({ choices: [{ delta: {}, finish_reason: 'length' }], usage: null }),
  event({ choices: [], usage: USAGE }),
  event('[DONE]'),
];

/** One byte at a time, each a millisecond after the last. */
function read(text: string): StreamedAnswer | null {
  const reader = new AnswerReader(0);
  let answer: StreamedAnswer | null = null;
  for (const [at, byte] of Buffer.from(text).entries()) answer = reader.push(Buffer.of(byte), at) ?? answer;
  return answer;
}

describe('what a client of the benchmarks reads', () => {
  it('is the text, when each piece of it came, and what it cost, wherever the bytes are cut', () => {
    // The second chunk holds two events and half of the third's text.
    const events = [say('a'), say(' 银'), say(' b')].join('');
    const cut = events.length - 10;
    const text = `${HEAD}${chunk(say(''))}${chunk(events.slice(0, cut))}${chunk(events.slice(cut))}${chunk(END.join(''))}0\r\n\r\n`;
    const answer = read(text);
    assert.ok(answer);
    const { textAt, ...rest } = answer;
    assert.deepEqual(rest, {
      askedAt: 0,
      endedAt: Buffer.byteLength(text) - 1,
      text: 'a 银 b',
      finishReason: 'length',
      promptTokens: 9,
      completionTokens: 3,
      cachedTokens: 4,
      fault: null,
    });
    assert.equal(textAt.length, 3);
    assert.ok(textAt.every((at, index) => at > (textAt[index - 1] ?? 0)));
    assert.deepEqual(new AnswerReader(0).push(Buffer.from(text), 5)?.textAt, [5, 5, 5], 'all at once');
  });

  it('is a fault where the stream broke off, and where it was refused', () => {
    assert.equal(read(`${HEAD}${chunk(say('a'))}0\r\n\r\n`)?.fault, 'it broke off');
    const failed = event({ error: { message: 'The engine ended.' } });
    assert.equal(read(`${HEAD}${chunk(say('a') + failed)}0\r\n\r\n`)?.fault, 'The engine ended.');
    const refusal = 'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nlate';
    assert.equal(read(refusal)?.fault, 'HTTP/1.1 429 Too Many Requests late');
  });

  it('is not over before its last bytes, which would be taken for the next answer’s first', () => {
    const text = `${HEAD}${chunk(END.join(''))}0\r\n\r\n`;
    assert.equal(new AnswerReader(0).push(Buffer.from(text.slice(0, -1)), 1), null);
  });
});
