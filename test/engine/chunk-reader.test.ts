import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChunkReader } from '#engine/upstream/chunk-reader.upstream.ts';
import { readChunk } from '#engine/upstream/completion.contract.ts';

const chunkOf = (content: unknown, more: object = {}, choice: object = {}): string =>
  JSON.stringify({ id: 'c', model: 'big', choices: [{ index: 0, delta: { content }, ...choice }], ...more });

/** One reader for all of them, against each on its own. */
function readsAlike(chunks: readonly string[]): void {
  const reader = new ChunkReader();
  for (const chunk of chunks) assert.deepEqual(reader.read(chunk), readChunk(chunk), chunk);
}

describe('ChunkReader', () => {
  it('reads what the whole reading says, whatever the texts and whatever comes between', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('"', '\\', 'content', ':', ',', ''),
    );
    const between = fc.constantFrom(
      chunkOf('', {}, { finish_reason: 'stop' }),
      chunkOf('x', { usage: { prompt_tokens: 1, completion_tokens: 2 } }),
      JSON.stringify({ choices: [{ delta: { reasoning_content: 'hm' } }] }),
      JSON.stringify({ choices: [{ text: 'older' }] }),
      '{"error":{"message":"no"}}',
      'no JSON',
    );
    const chunk = fc.oneof({ weight: 4, arbitrary: text.map((one) => chunkOf(one)) }, between);
    fc.assert(fc.property(fc.array(chunk, { maxLength: 12 }), readsAlike));
  });

  it('is not deceived by where else the text stands', () => {
    const twice = (a: string, b: string) => `{"choices":[{"delta":{"content":"${a}","content":"${b}"}}]}`;
    const named = (content: string, model: string) =>
      `{"choices":[{"delta":{"content":"${content}"}}],"model":"${model}"}`;
    readsAlike([twice('a', 'b'), twice('a', 'c'), twice('d', 'b'), twice('e', 'e'), twice('f', 'e'), twice('e', 'g')]);
    readsAlike([
      named('big', 'big'),
      named('big', 'small'),
      named('small', 'big'),
      named('x', 'big'),
      named('y', 'big'),
    ]);
    readsAlike([chunkOf(':'), chunkOf(','), chunkOf('a'), chunkOf('content'), chunkOf('b')]);
  });

  it('parses what is no string as it stands: escapes, control characters, a chunk that is too short', () => {
    const around = (inner: string) => `{"choices":[{"delta":{"content":"${inner}"}}]}`;
    readsAlike(
      ['a', 'b', '\\u0041', '\\n', 'x"},"finish_reason":"stop","a":{"b":"c', '\n', '\ud800', '', 'c'].map(around),
    );
    const [first, second] = [around('aa'), around('a')];
    readsAlike([first, second, first.slice(0, 30), second.slice(10), '"}}]}', '{"choices":[{"delta":{"content":"}}]}']);
  });

  it('goes on where every chunk differs in more than its text', () => {
    readsAlike(Array.from({ length: 20 }, (_, created) => chunkOf(` ${created}`, { created })));
  });
});
