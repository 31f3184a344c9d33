import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import { DraftPace } from '#engine/child/draft-pace.ts';
import { Drafter } from '#engine/child/drafter.llama.ts';
import { ForeseenTokens } from '#engine/child/foreseen.llama.ts';
import { draftUse } from '#engine/draft-use.ts';

type Input = number | [token: number, options: { generateNext: { options: { seed: number } } }];

/** A model whose next token is a sum of all that came before it and, where it is warm, of the seed. */
class SummingSequence {
  contextTokens: number[] = [];
  evaluated = 0;
  readonly contextSize = 4096;
  get nextTokenIndex(): number {
    return this.contextTokens.length;
  }
  async controlledEvaluate(input: readonly Input[]): Promise<({ next: { token: number } } | undefined)[]> {
    this.evaluated += input.length;
    return input.map((item) => {
      const [token, options] = typeof item === 'number' ? [item] : item;
      this.contextTokens.push(token);
      const seed = options?.generateNext.options.seed;
      return seed === undefined ? undefined : { next: { token: sum(this.contextTokens, seed) } };
    });
  }
  readonly stateCellsStartIndex = 0;
  readonly model = { fileInsights: {} };
  async clearHistory(): Promise<void> {
    this.contextTokens = [];
  }
  async adaptStateToTokens(tokens: readonly number[]): Promise<void> {
    let shared = 0;
    while (shared < tokens.length && this.contextTokens[shared] === tokens[shared]) shared++;
    this.contextTokens.length = shared;
  }
  async evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void> {
    this.evaluated += tokens.length;
    this.contextTokens.push(...tokens);
  }
}

const sum = (tokens: readonly number[], seed: number) => (tokens.reduce((a, b) => (a * 31 + b) % 977, 7) + seed) % 5;

/** Foresees what `guess` says of what was said. */
class GuessingSequence extends SummingSequence {
  readonly #guess: (tokens: readonly number[]) => number;
  constructor(guess: (tokens: readonly number[]) => number) {
    super();
    this.#guess = guess;
  }
  async *evaluate(tokens: readonly number[]): AsyncGenerator<number> {
    await this.evaluateWithoutGeneratingNewTokens(tokens);
    for (;;) {
      const next = this.#guess(this.contextTokens);
      yield next;
      this.contextTokens.push(next);
    }
  }
}

const NO_END = { isEogToken: () => false } as unknown as ConstructorParameters<typeof Drafter>[0];
const drafterOf = (sequence: GuessingSequence, most = 4) =>
  new Drafter(NO_END, sequence as unknown as LlamaContextSequence, most);
const PROMPT = [3, 1, 4, 1, 5] as Token[];

function open(prompt = PROMPT, now: () => number = () => 0) {
  const sequence = new SummingSequence();
  const tokens = new ForeseenTokens(
    sequence as unknown as LlamaContextSequence,
    prompt,
    { temperature: 0.8, topP: 0.9, topK: 0, seed: 42 },
    now,
  );
  return { sequence, tokens };
}

async function say(drafter: Drafter | null, least: number, subject = 'usr_a') {
  const { sequence, tokens } = open();
  const said: number[] = [];
  let steps = 0;
  for (; said.length < least; steps++) said.push(...(await tokens.next(drafter, subject, 4)));
  return { said: said.slice(0, least), steps, state: sequence.contextTokens };
}

describe('tokens that were foreseen', () => {
  it('are taken as far as they are right; the text is what it would have been without', async () => {
    const alone = await say(null, 60);
    assert.equal(alone.steps, 60);
    let calls = 0;
    const guesses: Readonly<Record<string, (tokens: readonly number[]) => number>> = {
      never: () => 99,
      sometimes: (tokens) => (calls++ % 3 === 0 ? 99 : (alone.said[tokens.length - PROMPT.length] ?? 0)),
      always: (tokens) => alone.said[tokens.length - PROMPT.length] ?? 0,
    };
    for (const [name, guess] of Object.entries(guesses)) {
      const drafter = drafterOf(new GuessingSequence(guess));
      const { said, steps, state } = await say(drafter, 60);
      assert.deepEqual(said, alone.said, name);
      // What was foreseen wrongly has left the state.
      assert.deepEqual(state.slice(0, 60), [...PROMPT, ...alone.said].slice(0, 60), name);
      assert.ok(name === 'never' ? steps === 60 : steps < 60, `${name}: ${steps}`);
      if (name === 'never') assert.equal(drafter.pace.right, 0);
      if (name === 'always') assert.equal(drafter.pace.right, drafter.pace.foreseen);
    }
  });

  it('are no more than were asked for: nothing beyond what is paid is computed', async () => {
    const drafter = drafterOf(new GuessingSequence(() => 0), 16);
    for (const most of [0, 1, 3]) {
      const { sequence, tokens } = open();
      await tokens.next(drafter, 'usr_a', most);
      assert.ok(sequence.evaluated <= PROMPT.length + most);
    }
  });

  it('cost a stranger the same whatever was said before him', async () => {
    const costs = new Set<number>();
    for (const before of [[], PROMPT, [...PROMPT, 9, 2, 6] as Token[], [8, 8, 8] as Token[]]) {
      const sequence = new GuessingSequence(() => 0);
      const drafter = drafterOf(sequence);
      if (before.length > 0) await drafter.foresee('usr_a', before, 4);
      const from = sequence.evaluated;
      await drafter.foresee('usr_b', PROMPT, 4);
      costs.add(sequence.evaluated - from);
    }
    assert.deepEqual([...costs], [PROMPT.length]);
  });

  it('come only when the draft model has read the whole prompt, portion by portion', async () => {
    const sequence = new GuessingSequence(() => 0);
    const drafter = drafterOf(sequence);
    const long = Array.from({ length: 600 }, (_, at) => at) as Token[];
    const lengths: number[] = [];
    for (let i = 0; i < 3; i++) lengths.push((await drafter.foresee('usr_a', long, 4)).length);
    assert.deepEqual([lengths, sequence.evaluated], [[0, 0, 4], 600]);
  });
});

describe('the pace of a draft model', () => {
  /** Runs steps on a counted clock; answers how many of the last hundred foresaw. */
  function run(drafted: number, plain: number): number {
    const pace = new DraftPace();
    let used = 0;
    for (let step = 0; step < 500; step++) {
      const wants = pace.wantsDraft;
      if (wants && step >= 400) used++;
      if (wants) pace.told(2, drafted, { foreseen: 4, right: 1 });
      else pace.told(1, plain, null);
    }
    return used;
  }

  it('is used where a token costs less with it, not where it costs more, and tried again now and then', () => {
    assert.ok(run(10, 9) >= 95);
    const wasted = run(30, 9);
    assert.ok(wasted >= 1 && wasted <= 5, `${wasted}`);
  });

  it('is not what reading a prompt takes: it is used on after a long one', async () => {
    const alone = await say(null, 60);
    const guessing = new GuessingSequence((tokens) => alone.said[tokens.length - PROMPT.length] ?? 0);
    const drafter = drafterOf(guessing);
    // A step of the model takes a hundred milliseconds, a token that the draft model reads or foresees one.
    let steps = 0;
    const now = () => steps * 100 + guessing.evaluated;
    const converse = async (subject: string, prompt: readonly Token[], length: number) => {
      const { sequence, tokens } = open([...prompt], now);
      const evaluate = sequence.controlledEvaluate.bind(sequence);
      sequence.controlledEvaluate = (input) => {
        steps++;
        return evaluate(input);
      };
      for (let step = 0; step < length; step++) await tokens.next(drafter, subject, 4);
    };
    await converse('usr_a', PROMPT, 12);
    const { drafted: before } = drafter.pace.costs;
    const long = Array.from({ length: 2000 }, (_, at) => (at % 7) as Token);
    await converse('usr_b', long, 9);
    const { drafted: after } = drafter.pace.costs;
    assert.ok(before !== null && after !== null && after < 50, `${before} then ${after}`);
  });

  it('says why it is not used', () => {
    const pace = new DraftPace();
    assert.equal(draftUse(pace.costs, 1), 'untried');
    pace.told(2, 30, { foreseen: 4, right: 1 });
    assert.deepEqual(pace.costs, { drafted: 15, plain: null });
    assert.equal(draftUse(pace.costs, 1), 'on');
    pace.told(1, 20, null);
    assert.equal(draftUse(pace.costs, 1), 'on');
    assert.equal(draftUse(pace.costs, 2), 'crowded');
    pace.told(1, 90, { foreseen: 4, right: 0 });
    assert.equal(draftUse(pace.costs, 1), 'slower');
  });
});
