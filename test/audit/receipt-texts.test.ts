import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { committedAnswer, committedPrompt, sentPrompt } from '#audit/receipt-texts.shared.ts';

const MESSAGES = [{ role: 'user', content: 'Hello' }];

describe('what the holder of a receipt says he sent and got', () => {
  it('is read from the request as it was sent, a part of it, or a bare text', () => {
    assert.deepEqual(sentPrompt(JSON.stringify({ model: 'm', messages: MESSAGES })), MESSAGES);
    assert.deepEqual(sentPrompt(JSON.stringify(MESSAGES)), MESSAGES);
    const parts = [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hel' },
          { type: 'text', text: 'lo' },
        ],
      },
    ];
    assert.deepEqual(sentPrompt(JSON.stringify(parts)), MESSAGES);
    assert.equal(sentPrompt('{"model":"m","prompt":"Once"}'), 'Once');
    assert.deepEqual(sentPrompt('{"model":"m","prompt":["a","b"]}'), ['a', 'b']);
    assert.deepEqual(sentPrompt('{"model":"m","input":["a","b"]}'), ['a', 'b']);
    assert.equal(sentPrompt('Once upon'), 'Once upon');
    assert.equal(sentPrompt('[not JSON'), '[not JSON');
    assert.equal(sentPrompt('"quoted"'), '"quoted"');
    for (const none of ['{"model":"m"}', '[{"role":"user"}]', '{"prompt":[1,2]}']) assert.equal(sentPrompt(none), null);
  });

  it('is committed to as its route takes it: a text is a question there, and itself here', () => {
    assert.equal(committedPrompt('Hello', 'chat.completions'), JSON.stringify([{ content: 'Hello', role: 'user' }]));
    assert.equal(committedPrompt('Hello', 'completions'), '"Hello"');
    assert.equal(committedPrompt('Hello', 'embeddings'), '"Hello"');
    assert.equal(committedPrompt(['a', 'b'], 'completions'), '["a","b"]');
  });

  it('an answer is its text, the texts of its choices in their order, or its vectors in one spelling', () => {
    assert.equal(committedAnswer('bare'), 'bare');
    assert.equal(committedAnswer('{"some":"JSON"}'), '{"some":"JSON"}');
    assert.equal(committedAnswer('{"choices":[{"index":0,"message":{"content":"x"}}]}'), 'x');
    assert.equal(committedAnswer('{"choices":[{"index":0,"text":"x"}]}'), 'x');
    const two = committedAnswer('{"choices":[{"index":1,"text":"b"},{"index":0,"text":"a"}]}');
    assert.equal(two, '[{"content":"a"},{"content":"b"}]');
    const numbers = committedAnswer('{"data":[{"index":0,"embedding":[1,-2]}]}');
    assert.equal(numbers, '["AACAPwAAAMA="]');
    assert.equal(committedAnswer('{"data":[{"index":0,"embedding":"AACAPwAAAMA="}]}'), numbers);
  });
});
