import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LlamaEmbedding, Token } from 'node-llama-cpp';
import { Embedder } from '#engine/child/embedder.llama.ts';
import type { ChildMessage } from '#engine/llama/protocol.contract.ts';

/** Computes when the test says so, a text at a time. */
function desk() {
  const computed: string[] = [];
  const sent: ChildMessage[] = [];
  let finish: (() => void) | null = null;
  let begun = Promise.withResolvers<void>();
  const context = {
    calculateInputLength: (tokens: Token[] | string) => tokens.length,
    async getEmbeddingFor(text: unknown) {
      computed.push(String.fromCharCode(...(text as number[])));
      const { promise, resolve } = Promise.withResolvers<void>();
      finish = resolve;
      begun.resolve();
      await promise;
      return { vector: [1] } as unknown as LlamaEmbedding;
    },
  };
  const model = { tokenize: (text: string) => [...Buffer.from(text)] as Token[] };
  const embedder = new Embedder({
    context: context as ConstructorParameters<typeof Embedder>[0]['context'],
    model: model as ConstructorParameters<typeof Embedder>[0]['model'],
    contextSize: 100,
    send: (message) => void sent.push(message),
    report: (error) => assert.fail(String(error)),
  });
  return {
    computed,
    sent,
    embedder,
    ask: (id: number, subject: string, ...inputs: string[]) =>
      embedder.add({ t: 'embed', id, subject, inputs, credit: 1000 }),
    /** Ends the text in work and waits until the next one is. */
    async step(count = 1): Promise<void> {
      for (let at = 0; at < count; at++) {
        await begun.promise;
        begun = Promise.withResolvers();
        finish?.();
      }
      await begun.promise;
    },
    /** Ends the text in work, the last one. */
    async last(): Promise<void> {
      const ends = () => sent.filter(({ t }) => t === 'finished' || t === 'cancelled').length;
      const before = ends();
      finish?.();
      while (ends() === before) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('texts that are turned into vectors one at a time', () => {
  it('users take turns, however many requests one of them has, and his requests among themselves', async () => {
    const { computed, ask, step } = desk();
    for (const id of [1, 2, 3]) ask(id, 'a', `a${id}`, `a${id}`, `a${id}`);
    ask(4, 'b', 'b4', 'b4', 'b4');
    ask(5, 'c', 'c5', 'c5');
    await step(9);
    assert.deepEqual(computed, ['a1', 'b4', 'c5', 'a2', 'b4', 'c5', 'a3', 'b4', 'a1', 'a2']);
  });

  it('whoever comes waits for the text in work and no more; who comes again and again waits for his turn', async () => {
    const { computed, ask, step } = desk();
    ask(1, 'a', ...Array<string>(10).fill('a'));
    await step(2);
    ask(2, 'b', 'b');
    await step();
    assert.deepEqual(computed, ['a', 'a', 'a', 'b']);
    ask(3, 'b', 'b');
    await step(2);
    assert.deepEqual(computed.slice(4), ['a', 'b']);
  });

  it('a hang-up ends a list behind the text in work: nothing of it is computed after that', async () => {
    const { computed, sent, ask, step, embedder, last } = desk();
    ask(1, 'a', 'a', 'a', 'a');
    ask(2, 'b', 'b');
    await step();
    embedder.cancel(1);
    assert.deepEqual(computed, ['a', 'b']);
    await last();
    assert.deepEqual(computed, ['a', 'b']);
    assert.deepEqual(
      sent.filter(({ t }) => t === 'cancelled' || t === 'vector').map((message) => ('id' in message ? message.id : 0)),
      [1, 2, 1],
    );
  });
});
