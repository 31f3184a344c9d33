import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import { Driver, type DriverOptions } from '#engine/driver.llama.ts';
import { Generation, type GenerationTools } from '#engine/generation.llama.ts';
import type { ChildMessage, GenerateMessage } from '#engine/protocol.contract.ts';
import { until } from './demo.ts';

/** What a sequence of llama.cpp does to its state, and a note of every token that had to be computed. */
class FakeSequence {
  contextTokens: number[] = [];
  evaluated: number[] = [];
  /** Told of every portion, while it is computed. */
  onPortion: () => void = () => undefined;
  /** Told how many tokens were computed, of a prompt or of an answer. */
  onWork: (prompt: number, answer: number) => void = () => undefined;
  get nextTokenIndex(): number {
    return this.contextTokens.length;
  }
  async clearHistory(): Promise<void> {
    this.contextTokens = [];
  }
  async adaptStateToTokens(tokens: readonly number[]): Promise<void> {
    let shared = 0;
    while (shared < tokens.length && this.contextTokens[shared] === tokens[shared]) shared++;
    this.contextTokens.length = shared;
  }
  async evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void> {
    this.#take(tokens);
  }
  async *evaluate(tokens: readonly number[]): AsyncGenerator<number> {
    this.#take(tokens);
    for (;;) {
      yield 1;
      this.onWork(0, 1);
      this.contextTokens.push(1);
    }
  }
  #take(tokens: readonly number[]): void {
    this.onPortion();
    this.onWork(tokens.length, 0);
    this.evaluated.push(...tokens);
    this.contextTokens.push(...tokens);
  }
}

const CHUNK = 128;

/** Milliseconds on a clock that goes on by what is computed, and by nothing else: 0 lets it stand still. */
interface Costs {
  readonly promptToken: number;
  readonly answerToken: number;
}

function open(
  sequences: number,
  change: Partial<DriverOptions> = {},
  costs: Costs = { promptToken: 0, answerToken: 0 },
) {
  const slots = Array.from({ length: sequences }, () => new FakeSequence());
  let time = 0;
  for (const slot of slots)
    slot.onWork = (prompt, answer) => {
      time += prompt * costs.promptToken + answer * costs.answerToken;
    };
  const sent: ChildMessage[] = [];
  const at: number[] = [];
  const rounds: number[][] = [];
  const send = (message: ChildMessage) => {
    sent.push(message);
    at.push(time);
    if (message.t === 'deltas') rounds.push(slots.map(({ evaluated }) => evaluated.length));
  };
  const driver = new Driver({
    sequences: slots as unknown as LlamaContextSequence[],
    prefillChunk: CHUNK,
    maxBatchSize: 32,
    maxWaitMs: 50,
    batchSize: 512,
    send,
    now: () => time,
    report: (error) => assert.fail(String(error)),
    ...change,
  });
  const tools = {
    model: {
      detokenize: (tokens: number[]) => 'x'.repeat(tokens.length),
      isEogToken: () => false,
    } as unknown as LlamaModel,
    prompts: {
      // A token a character, so that a test can say which.
      render: (messages: readonly { content: string }[]) =>
        Array.from(messages.map(({ content }) => content).join(''), (c) => c.codePointAt(0)) as Token[],
      tokenize: () => assert.fail('no prompt without template'),
      endTokens: new Set<Token>(),
    },
    contextSize: 8192,
    grammar: () => assert.fail('no grammar'),
    send,
    now: () => time,
  } satisfies GenerationTools;
  let last = 0;
  const ask = (content: string, change: Partial<GenerateMessage> = {}): number => {
    const request: GenerateMessage = {
      ...{ t: 'generate', id: ++last, subject: 'usr_a', messages: [{ role: 'user', content }], maxTokens: 4 },
      ...{ temperature: 0, topP: 1, seed: 0, stop: [], grammar: null, stream: true, credit: 8192 },
      ...change,
    };
    driver.add(new Generation(request, tools));
    return request.id;
  };
  const end = async (id: number) => {
    const found = () => sent.find((message) => message.t === 'finished' && message.id === id);
    await until(() => found() !== undefined);
    const message = found();
    if (message?.t !== 'finished') throw new Error('unreachable');
    return message.usage;
  };
  /** When each message came in which one of these had text, on the counted clock. */
  const times = (id: number) =>
    at.filter((_, index) => {
      const message = sent[index];
      return message?.t === 'deltas' && message.items.some(([one]) => one === id);
    });
  return { driver, slots, sent, rounds, ask, end, times };
}

describe('the lock-step driver', () => {
  it('while a prompt of 4,000 tokens comes in, who generates gets his token every round, and no round is longer than a portion', async () => {
    const { slots, sent, rounds, ask, end } = open(2);
    const streaming = ask('short', { maxTokens: 400 });
    await until(() => rounds.length > 3);
    const from = rounds.length;
    const newcomer = ask('n'.repeat(4000), { subject: 'usr_b' });
    await end(newcomer);
    const after = rounds.slice(from).map((evaluated) => evaluated[1] ?? 0);
    const portions = after.map((total, at) => total - (after[at - 1] ?? 0)).filter((tokens) => tokens > 0);
    assert.equal(
      portions.reduce((sum, tokens) => sum + tokens, 0),
      4000,
    );
    assert.ok(Math.max(...portions) <= CHUNK, `a portion of ${Math.max(...portions)}`);
    assert.ok(portions.length >= 4000 / CHUNK);
    // One token for him in each of those rounds: the gap between his tokens is one round, always.
    const his = sent.filter((message) => message.t === 'deltas' && message.items.some(([id]) => id === streaming));
    const allRounds = sent.filter((message) => message.t === 'deltas');
    const upTo = allRounds.findIndex(
      (message) => message.t === 'deltas' && message.items.some(([id]) => id === newcomer),
    );
    assert.deepEqual(his.slice(0, upTo), allRounds.slice(0, upTo));
    assert.equal(slots.length, 2);
  });

  for (const [pace, costs] of [
    ['a slow machine', { promptToken: 3, answerToken: 80 }],
    ['a fast one', { promptToken: 0.1, answerToken: 4 }],
    ['one that answers as fast as it reads', { promptToken: 1, answerToken: 20 }],
  ] as const)
    it(`on the counted clock of ${pace} nobody’s gap is over twice the median while that prompt comes in`, async () => {
      const { ask, end, times } = open(2, {}, costs);
      const streaming = ask('short', { maxTokens: 8000 });
      await until(() => times(streaming).length > 20);
      const before = times(streaming).length;
      const newcomer = ask('n'.repeat(4000), { subject: 'usr_b' });
      await end(newcomer);
      const gaps = times(streaming).map((time, at, all) => time - (all[at - 1] ?? 0));
      const median = gaps.slice(1, before).toSorted((a, b) => a - b)[Math.floor(before / 2)] ?? 0;
      const most = Math.max(...gaps.slice(before));
      assert.ok(gaps.length - before > 4000 / CHUNK, 'the prompt came in at once');
      assert.ok(most > median, 'the prompt took no time');
      assert.ok(most <= 2 * median, `${most} against a median of ${median}`);
    });

  it('more under way than a batch may have take turns, nobody twice before everybody once', async () => {
    const { sent, ask, end } = open(5, { maxBatchSize: 2 });
    const ids = ['a', 'b', 'c', 'd', 'e'].map((name) => ask(name, { subject: `usr_${name}`, maxTokens: 20 }));
    for (const id of ids) await end(id);
    const batches = sent.flatMap((message) => (message.t === 'deltas' ? [message.items.map(([id]) => id)] : []));
    assert.ok(batches.every((batch) => batch.length <= 2));
    const told = new Map(ids.map((id) => [id, 0]));
    for (const batch of batches.slice(0, 40)) {
      for (const id of batch) told.set(id, (told.get(id) ?? 0) + 1);
      const counts = [...told.values()];
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
    }
  });

  it('several prompts at once share the portion: together they are no longer than it', async () => {
    const { rounds, ask, end } = open(4);
    ask('short', { maxTokens: 400 });
    await until(() => rounds.length > 1);
    const from = rounds.length;
    const newcomers = ['b', 'c', 'd'].map((name) => ask(name.repeat(600), { subject: `usr_${name}` }));
    for (const id of newcomers) await end(id);
    const totals = rounds.slice(from).map((evaluated) => evaluated.slice(1).reduce((sum, tokens) => sum + tokens, 0));
    const most = Math.max(...totals.map((total, at) => total - (totals[at - 1] ?? 0)));
    assert.ok(most <= CHUNK, `${most}`);
  });

  it('an abort during a prompt is obeyed after the portion that is being computed', async () => {
    const { driver, slots, sent, ask } = open(1);
    const [slot] = slots;
    assert.ok(slot);
    let id = 0;
    let portions = 0;
    slot.onPortion = () => {
      if (++portions === 3) driver.cancel(id);
    };
    id = ask('n'.repeat(4000));
    await until(() => sent.some((message) => message.t === 'cancelled' && message.id === id));
    assert.equal(portions, 3);
    assert.ok(slot.evaluated.length < 4000);
  });
});

describe('promise 17: what is computed for one user never depends on another', () => {
  const secret = 'The merger with the other bank is announced on Monday; the price is 4.2 billion.';

  it('the same prompt costs a stranger every token, and its author only the last', async () => {
    const { slots, ask, end } = open(1);
    const [slot] = slots;
    assert.ok(slot);
    const cost = async (subject: string) => {
      const before = slot.evaluated.length;
      const usage = await end(ask(secret, { subject }));
      return { computed: slot.evaluated.length - before, cached: usage.cachedTokens };
    };
    assert.deepEqual(await cost('usr_author'), { computed: secret.length, cached: 0 });
    assert.deepEqual(await cost('usr_author'), { computed: 1, cached: secret.length - 1 });
    assert.deepEqual(await cost('usr_stranger'), { computed: secret.length, cached: 0 });
    // And the stranger's visit has wiped what was there.
    assert.deepEqual(await cost('usr_author'), { computed: secret.length, cached: 0 });
  });

  it('whatever prefix a stranger guesses, right or wrong, he pays the same', async () => {
    for (let length = 1; length <= secret.length; length += 7) {
      const { slots, ask, end } = open(1);
      await end(ask(secret, { subject: 'usr_author' }));
      const before = slots[0]?.evaluated.length ?? 0;
      const guess = secret.slice(0, length).padEnd(secret.length, '?');
      await end(ask(guess, { subject: 'usr_stranger' }));
      assert.equal((slots[0]?.evaluated.length ?? 0) - before, secret.length);
    }
  });

  it('a conversation goes on where it lies, also when another user has a free place of his own', async () => {
    const { slots, ask, end } = open(3);
    await end(ask(`${secret} a`, { subject: 'usr_a' }));
    await Promise.all([
      end(ask('x'.repeat(100), { subject: 'usr_b' })),
      end(ask('y'.repeat(100), { subject: 'usr_c' })),
    ]);
    const held = slots.map(({ contextTokens }) => contextTokens.length);
    assert.ok(held.some((length) => length >= secret.length));
  });
});
