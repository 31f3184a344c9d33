import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readChildMessage, readParentMessage } from '#engine/llama/protocol.contract.ts';

const GENERATE = {
  t: 'generate',
  id: 1,
  subject: 'usr_a',
  messages: [{ role: 'user', content: 'hi' }],
  maxTokens: 5,
  temperature: 0.7,
  topP: 1,
  seed: 4294967295,
  stop: ['x'],
  grammar: null,
  stream: true,
  credit: 300,
};

describe('messages to the child', () => {
  it('are read when they are whole', () => {
    assert.deepEqual(readParentMessage(GENERATE), GENERATE);
    const embed = { t: 'embed', id: 2, subject: 'u', inputs: ['a', 'b'], credit: 9 };
    assert.deepEqual(readParentMessage(embed), embed);
    assert.equal(readParentMessage({ ...embed, inputs: [] }), null);
    assert.equal(readParentMessage({ ...embed, inputs: ['a', ''] }), null);
    assert.deepEqual(readParentMessage({ t: 'cancel', id: 3 }), { t: 'cancel', id: 3 });
    const { messages: _, ...rest } = GENERATE;
    const raw = { ...rest, messages: [], prompt: 'Once upon' };
    assert.deepEqual(readParentMessage(raw), raw);
    const credit = { t: 'credit', id: 3, total: 512, final: false };
    assert.deepEqual(readParentMessage(credit), credit);
  });

  for (const [name, change] of Object.entries({
    'no message': { messages: [] },
    'messages and a prompt': { prompt: 'x' },
    'an empty prompt': { messages: [], prompt: '' },
    'a foreign role': { messages: [{ role: 'function', content: '' }] },
    'temperature 2.1': { temperature: 2.1 },
    'temperature NaN': { temperature: Number.NaN },
    'topP 0': { topP: 0 },
    'a seed over 32 bits': { seed: 2 ** 32 },
    'an empty stop text': { stop: [''] },
    'maxTokens 0': { maxTokens: 0 },
    'an unknown member': { file: '/etc/passwd' },
  })) {
    it(`are refused with ${name}`, () => assert.equal(readParentMessage({ ...GENERATE, ...change }), null));
  }
});

describe('messages from the child', () => {
  const usage = { promptTokens: 1, completionTokens: 2, cachedTokens: 0 };
  for (const message of [
    { t: 'deltas', items: [] },
    { t: 'deltas', items: [[1, 'text', 1]] },
    { t: 'finished', id: 1, reason: 'stop', usage },
    { t: 'finished', id: 1, reason: 'stop', usage: { ...usage, reasoningTokens: 2 } },
    { t: 'failed', id: 1, code: 'context_length_exceeded', param: 'prompt', message: 'too long' },
    { t: 'load_failed', reason: 'digest_mismatch', detail: '' },
    { t: 'started', id: 1, promptTokens: 7, longest: 4 },
    { t: 'vector', id: 1, index: 0, values: 'AACAPwAAgD8=' },
  ]) {
    it(`are read: ${JSON.stringify(message)}`, () => assert.deepEqual(readChildMessage(message), message));
  }

  for (const message of [
    null,
    'deltas',
    {},
    { t: 'deltas' },
    { t: 'deltas', items: [[1, 'text']] },
    { t: 'deltas', items: [['1', 'text', 1]] },
    { t: 'deltas', items: [[1, 5, 1]] },
    { t: 'deltas', items: [[1, 'text', -1]] },
    { t: 'finished', id: 1, reason: 'content_filter', usage },
    { t: 'finished', id: 1, reason: 'stop', usage: { ...usage, completionTokens: -2 } },
    { t: 'finished', id: 1, reason: 'stop', usage: { ...usage, reasoningTokens: 3 } },
    { t: 'failed', id: 1, code: 'forbidden', param: 'prompt', message: 'a child may not choose any code' },
    { t: 'started', id: 0, promptTokens: 1 },
    { t: 'vector', id: 1, index: 0, values: [1, 1] },
    { t: 'vector', id: 1, index: 0, values: 'no base64!' },
    { t: 'vector', id: 1, index: -1, values: 'AACAPwAAgD8=' },
    { t: 'vector', id: 1, index: 0, values: 'A'.repeat(400_000) },
  ]) {
    it(`are refused: ${JSON.stringify(message).slice(0, 100)}`, () => assert.equal(readChildMessage(message), null));
  }
});
