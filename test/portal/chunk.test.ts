import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readChunk } from '#portal/chunk.ts';

test('text, finish reason and usage are read from a chunk', () => {
  const usage = {
    prompt_tokens: 3,
    completion_tokens: 4,
    total_tokens: 7,
    prompt_tokens_details: { cached_tokens: 0 },
  };
  const step = readChunk(JSON.stringify({ choices: [{ index: 0, delta: { content: 'a<b' }, finish_reason: 'stop' }] }));
  assert.deepEqual(step, { kind: 'text', text: 'a<b', finish: 'stop', usage: null });
  assert.deepEqual(readChunk(JSON.stringify({ choices: [], usage })), { kind: 'text', text: '', finish: null, usage });
});

test('the end and an error are told apart from text', () => {
  assert.deepEqual(readChunk('[DONE]'), { kind: 'done' });
  assert.deepEqual(readChunk('{"error":{"code":"engine_failed","message":"m"}}'), {
    kind: 'error',
    code: 'engine_failed',
    message: 'm',
  });
  assert.deepEqual(readChunk('{"error":null}'), { kind: 'error', code: 'internal', message: '' });
});

test('what is not a chunk is unreadable and never throws', () => {
  for (const bad of ['', '{', 'null', '"[DONE]"', '3']) assert.equal(readChunk(bad).kind, 'unreadable');
  for (const odd of ['{}', '[]', '{"choices":{}}', '{"choices":[null]}', '{"choices":[{"delta":{"content":7}}]}'])
    assert.deepEqual(readChunk(odd), { kind: 'text', text: '', finish: null, usage: null });
});
