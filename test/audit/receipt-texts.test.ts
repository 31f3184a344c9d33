import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { committedAnswer, committedPrompt, formOf, sentAnswer, sentPrompt } from '#audit/receipt-texts.shared.ts';

const MESSAGES = [{ role: 'user', content: 'Hello' }];

describe('what the holder of a receipt says he sent and got', () => {
  it('is read from the request as it was sent, a part of it, or a bare text', () => {
    const conversation = (text: string) => JSON.parse(JSON.stringify(sentPrompt(text)));
    assert.deepEqual(conversation(JSON.stringify({ model: 'm', messages: MESSAGES })), MESSAGES);
    assert.deepEqual(conversation(JSON.stringify(MESSAGES)), MESSAGES);
    const parts = [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hel' },
          { type: 'text', text: 'lo' },
        ],
      },
    ];
    assert.deepEqual(conversation(JSON.stringify(parts)), MESSAGES);
    assert.equal(sentPrompt('{"model":"m","prompt":"Once"}'), 'Once');
    assert.deepEqual(sentPrompt('{"model":"m","prompt":["a","b"]}'), ['a', 'b']);
    assert.deepEqual(sentPrompt('{"model":"m","input":["a","b"]}'), ['a', 'b']);
    assert.equal(sentPrompt('Once upon'), 'Once upon');
    assert.equal(sentPrompt('[not JSON'), '[not JSON');
    assert.equal(sentPrompt('"quoted"'), '"quoted"');
    assert.equal(sentPrompt('{"a":"question of JSON"}'), '{"a":"question of JSON"}');
    for (const none of ['[{"role":"user"}]', '{"prompt":[1,2]}']) assert.equal(sentPrompt(none), null);
  });

  it('is committed to as its route takes it: a text is a question there, and itself here', () => {
    assert.equal(committedPrompt('Hello', 'chat.completions'), JSON.stringify([{ content: 'Hello', role: 'user' }]));
    assert.equal(committedPrompt('Hello', 'completions'), '"Hello"');
    assert.equal(committedPrompt('Hello', 'embeddings'), '"Hello"');
    assert.equal(committedPrompt(['a', 'b'], 'completions'), '["a","b"]');
  });

  it('an answer is its text, the texts of its choices in their order, or its vectors in one spelling', () => {
    const committed = (text: string) => committedAnswer(sentAnswer(text));
    assert.equal(committed('bare'), 'bare');
    assert.equal(committed('{"some":"JSON"}'), '{"some":"JSON"}');
    assert.equal(committed('{"choices":[{"index":0,"message":{"content":"x"}}]}'), 'x');
    assert.equal(committed('{"choices":[{"index":0,"text":"x"}]}'), 'x');
    const two = committed('{"choices":[{"index":1,"text":"b"},{"index":0,"text":"a"}]}');
    assert.equal(two, '[{"content":"a"},{"content":"b"}]');
    const numbers = '{"data":[{"index":0,"embedding":[1,-2]}]}';
    assert.equal(committed(numbers), '["AACAPwAAAMA="]');
    assert.equal(committed('{"data":[{"index":0,"embedding":"AACAPwAAAMA="}]}'), '["AACAPwAAAMA="]');
    assert.deepEqual(
      ['["AACAPwAAAMA="]', numbers, '{"choices":[{"text":"x"}]}', '{"choices":[{"text":"x"},{"text":"y"}]}'].map(
        (one) => formOf(sentAnswer(one)),
      ),
      ['text', 'vectors', 'text', 'structured'],
    );
  });
});
