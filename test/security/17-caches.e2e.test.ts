import assert from 'node:assert/strict';
import { it } from 'node:test';
import { answer, demoSpec, openLlama } from '../engine/demo.ts';

const APPROVED = 'You answer for the bank, politely and in its own words, and say so where you do not know. '.repeat(3);

it('the real engine: an approved system prompt is shared, nothing that anybody said is, and answers are the same', async () => {
  const shared = openLlama(await demoSpec({ parallel: 1, systemPrompts: [APPROVED] }));
  const plain = openLlama(await demoSpec({ parallel: 1 }));
  try {
    await Promise.all([shared.load(), plain.load()]);
    const ask = (engine: typeof shared, subject: string, system: string, content: string) =>
      answer(engine, {
        subject,
        messages: [
          { role: 'system', content: system },
          { role: 'user', content },
        ],
      });
    const first = await ask(shared, 'usr_a', APPROVED, 'The merger is announced on Monday.');
    const prefix = first.usage.cachedTokens;
    assert.ok(prefix > 50 && prefix < first.promptTokens, `${prefix} of ${first.promptTokens}`);
    const own = await ask(shared, 'usr_a', APPROVED, 'The merger is announced on Monday.');
    assert.equal(own.usage.cachedTokens, own.promptTokens - 1);
    // A stranger finds the approved prompt and not a token of what was said after it, right guess or wrong.
    for (const guess of ['The merger is announced on Monday.', 'The merger is announced on Friday.', 'Hello'])
      assert.equal((await ask(shared, `usr_${guess}`, APPROVED, guess)).usage.cachedTokens, prefix);
    // Nor does it matter that somebody else had another prompt of his own before.
    assert.equal((await ask(shared, 'usr_c', 'Mine.', 'Hello')).usage.cachedTokens, 0);
    const again = await ask(shared, 'usr_d', APPROVED, 'Hello');
    assert.equal(again.usage.cachedTokens, prefix);
    const alone = await ask(plain, 'usr_d', APPROVED, 'Hello');
    assert.deepEqual([alone.text, alone.usage.cachedTokens], [again.text, 0]);
  } finally {
    await Promise.all([shared.close(), plain.close()]);
  }
});
