import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import type { Batches, Chosen, Portion } from '#engine/child/batch.llama.ts';
import { Driver, type DriverOptions } from '#engine/child/driver.llama.ts';
import { Generation, type GenerationTools } from '#engine/child/generation.llama.ts';
import { Outlet } from '#engine/child/outlet.ts';
import { SpentMemory } from '#engine/child/spent-memory.ts';
import { warm } from '#engine/child/warm-prefix.llama.ts';
import type { Usage } from '#engine/engine.ts';
import type { ChildMessage, GenerateMessage } from '#engine/llama/protocol.contract.ts';

/** What a sequence of llama.cpp does to its state, and a note of every token that had to be computed. */
export class FakeSequence {
  contextTokens: number[] = [];
  evaluated: number[] = [];
  /** Told of every portion, while it is computed. */
  onPortion: () => void = () => undefined;
  readonly contextSize = 8192;
  readonly needsCheckpoints = false;
  readonly stateCellsStartIndex = 0;
  readonly model = { fileInsights: {} };
  onCopy: () => void = () => undefined;
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
  async _copyStateFromOtherSequence(from: FakeSequence, upTo: number): Promise<boolean> {
    this.onCopy();
    this.contextTokens = from.contextTokens.slice(0, upTo);
    return true;
  }
  async evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void> {
    this.#take(tokens);
  }
  /** A portion of a batch. */
  take(tokens: readonly number[]): void {
    if (tokens.length === 1 && tokens[0] === SAID) {
      this.onWork(0, 1);
      this.contextTokens.push(SAID);
    } else this.#take(tokens);
  }
  #take(tokens: readonly number[]): void {
    this.onPortion();
    this.onWork(tokens.length, 0);
    this.evaluated.push(...tokens);
    this.contextTokens.push(...tokens);
  }
}

/** The only token that is ever chosen. */
const SAID = 1 as Token;

/** Batches whose sequences are `FakeSequence`s. */
const fakeBatches = (ran: () => void, chosen: (sequence: FakeSequence) => Chosen): Batches => ({
  sampler: () => ({ use: () => {}, free: () => {} }),
  weigh: () => assert.fail('no likelihoods'),
  run: async (portions: readonly Portion[], meanwhile) => {
    ran();
    meanwhile();
    // As where it is computed on another thread: what has come in the meantime is heard.
    await nextTurn();
    return portions.map(({ sequence, tokens, sampler }) => {
      const fake = sequence as unknown as FakeSequence;
      fake.take(tokens);
      return sampler === null ? null : chosen(fake);
    });
  },
});

export const CHUNK = 128;

const spell = (text: string) => Array.from(text, (character) => character.codePointAt(0)) as Token[];

const NO_TOOLS = {
  get syntax() {
    return assert.fail('no tools');
  },
  render: () => assert.fail('no tools'),
};

/** An approved system prompt, computed. */
export const approve = (prompt: string) =>
  warm(prompt, new FakeSequence() as unknown as LlamaContextSequence, {
    prefixOf: spell,
    render: () => assert.fail('only approved prompts'),
    tokenize: () => assert.fail('only approved prompts'),
    tools: NO_TOOLS,
    thoughts: null,
    endTokens: new Set<Token>(),
  });

/** Milliseconds on a clock that goes on by what is computed, and by nothing else: 0 lets it stand still. */
export interface Costs {
  readonly promptToken: number;
  readonly answerToken: number;
  readonly copy?: number;
}

export const messageOf = (id: number, change: Partial<GenerateMessage>): GenerateMessage => ({
  ...{ t: 'generate', id, subject: 'usr_a', messages: [{ role: 'user', content: 'x' }], maxTokens: 4 },
  ...{ temperature: 0, topP: 1, seed: 0, stop: [], grammar: null, stream: true, credit: 8192 },
  ...change,
});

export function openDriver(
  sequences: number,
  change: Partial<DriverOptions> = {},
  costs: Costs = { promptToken: 0, answerToken: 0 },
) {
  const slots = Array.from({ length: sequences }, () => new FakeSequence());
  let time = 0;
  for (const slot of slots) {
    slot.onWork = (prompt, answer) => {
      time += prompt * costs.promptToken + answer * costs.answerToken;
    };
    slot.onCopy = () => {
      time += costs.copy ?? 0;
    };
  }
  const sent: ChildMessage[] = [];
  const ends = new Map<number, PromiseWithResolvers<Usage>>();
  const at: number[] = [];
  const rounds: number[][] = [];
  const send = (message: ChildMessage) => {
    sent.push(message);
    at.push(time);
    if (message.t === 'finished') ends.get(message.id)?.resolve(message.usage);
    if (message.t === 'deltas') rounds.push(slots.map(({ evaluated }) => evaluated.length));
  };
  /** How often something had been sent when each batch began. */
  const batches: number[] = [];
  const broken = new Set<FakeSequence>();
  const fake = fakeBatches(
    () => batches.push(sent.length),
    (sequence) => (broken.has(sequence) ? new Error('broken') : SAID),
  );
  const outlet = new Outlet(send);
  const driver = new Driver({
    sequences: slots as unknown as LlamaContextSequence[],
    warm: [],
    drafter: null,
    prefillChunk: CHUNK,
    maxBatchSize: 32,
    maxWaitMs: 50,
    batchSize: 512,
    batches: fake,
    outlet,
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
      render: (messages: readonly { content: string }[]) => spell(messages.map(({ content }) => content).join('')),
      prefixOf: spell,
      tokenize: () => assert.fail('no prompt without template'),
      tools: NO_TOOLS,
      thoughts: null,
      endTokens: new Set<Token>(),
    },
    contextSize: 8192,
    foresees: false,
    grammar: () => assert.fail('no grammar'),
    batches: fake,
    send: outlet.send,
    now: () => time,
    spent: new SpentMemory(1, () => {}),
  } satisfies GenerationTools;
  /** Samplers of the library that were made. */
  const spent = { count: 0 };
  tools.spent.sampler = () => void spent.count++;
  let last = 0;
  const ask = (content: string, change: Partial<GenerateMessage> = {}): number => {
    const request = messageOf(++last, { messages: [{ role: 'user', content }], ...change });
    ends.set(last, Promise.withResolvers());
    driver.add(new Generation(request, tools));
    return request.id;
  };
  const end = (id: number): Promise<Usage> => ends.get(id)?.promise ?? assert.fail('nobody asked');
  /** When each message came in which one of these had text, on the counted clock. */
  const times = (id: number) =>
    at.filter((_, index) => {
      const message = sent[index];
      return message?.t === 'deltas' && message.items.some(([one]) => one === id);
    });
  return { driver, slots, sent, rounds, batches, broken, ask, end, times, spent, now: () => time };
}
