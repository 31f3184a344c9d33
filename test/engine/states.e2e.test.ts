import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { hybridModel, recurrentModel, slidingModel } from '../fakes/state-models.ts';
import { answer, openLlama, writeModel } from './demo.ts';

const RULES = 'Answer about letters of credit, and about nothing else. '.repeat(4);
const WINDOW = 64;

/** A letter a token, and no two places alike. */
const letters = (length: number): string => {
  let state = 12345;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return 'abcdefghijklmnopqrstuvwxyz '[state % 27];
  }).join('');
};
const user = (content: string) => ({ role: 'user', content }) as const;

for (const [kind, file] of [
  ['that looks back through a window', slidingModel(WINDOW)],
  ['with one running state', recurrentModel()],
  ['with both a running state and one of every token', hybridModel()],
] as const) {
  describe(`a model ${kind}`, () => {
    let remove: () => Promise<void>;
    let engine: LlamaEngine;
    let plain: LlamaEngine;
    let strangers = 0;
    before(async () => {
      const made = await writeModel(file, { contextSize: 2048, parallel: 3 });
      remove = made.remove;
      engine = openLlama({ ...made.spec, systemPrompts: [RULES] });
      plain = openLlama(made.spec);
      await Promise.all([engine.load(), plain.load()]);
    });
    after(async () => {
      await Promise.all([engine.close(), plain.close()]);
      await remove();
    });

    const ask = (of: LlamaEngine, subject: string, messages: Parameters<typeof answer>[1] & object, maxTokens = 16) =>
      answer(of, { temperature: 0, maxTokens, ...messages, subject });
    /** Computed from its first token. */
    const anew = (messages: Parameters<typeof answer>[1] & object) => ask(plain, `usr_new${++strangers}`, messages);

    it('says of a prompt that goes on otherwise what it says of it alone, wherever that begins', async () => {
      const long = letters(1000);
      for (let cut = 40; cut < 1000; cut += 40) {
        const asked = { messages: [user(`${long.slice(0, cut)} And then?`)] };
        await ask(plain, 'usr_a', { messages: [user(long)] }, 1);
        const reused = await ask(plain, 'usr_a', asked);
        assert.equal(reused.text, (await anew(asked)).text, `of ${cut}, ${reused.usage.cachedTokens} were kept`);
      }
    });

    it('goes on from the last prompt where the answer is not told as it was said', async () => {
      const first = user(letters(600));
      const { usage } = await ask(plain, 'usr_b', { messages: [first] }, 600);
      const next = { messages: [first, { role: 'assistant', content: 'Well.' } as const, user('More?')] };
      const reused = await ask(plain, 'usr_b', next);
      assert.ok(reused.usage.cachedTokens >= usage.promptTokens - 16, `${reused.usage.cachedTokens}`);
      assert.equal(reused.text, (await anew(next)).text);
    });

    it('gives strangers an approved system prompt, and the same words as without', async () => {
      for (const [at, question] of ['What is one?', 'Who pays?'].entries()) {
        const asked = { messages: [{ role: 'system', content: RULES } as const, user(question)] };
        const given = await ask(engine, `usr_stranger${at}`, asked);
        assert.ok(given.usage.cachedTokens > RULES.length, `${given.usage.cachedTokens}`);
        assert.equal(given.text, (await anew(asked)).text);
      }
    });

    it('says to several at once, of one user and of others, what it says to each alone', async () => {
      const beginning = letters(300);
      const asked = ['One?', 'Two?', 'Three?'].map((question) => ({ messages: [user(beginning + question)] }));
      const alone: string[] = [];
      for (const one of asked) alone.push((await anew(one)).text);
      for (const subjects of [
        ['usr_c', 'usr_d', 'usr_e'],
        ['usr_f', 'usr_f', 'usr_f'],
      ]) {
        const told = await Promise.all(asked.map((one, at) => ask(plain, subjects[at] ?? '', one)));
        assert.deepEqual(
          told.map(({ text }) => text),
          alone,
        );
      }
    });
  });
}
