import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import { fitsSchema } from '#engine/grammar/schema-check.vm.ts';
import type { ChildMessage, DeltaItem, GenerateMessage } from '#engine/llama/protocol.contract.ts';
import { Refusal } from '#engine/refusal.ts';
import { ThoughtReader } from '#engine/thought-reader.ts';
import type { Chosen, Portion } from './batch.llama.ts';
import { Calling } from './calling.llama.ts';
import type { Drafter } from './drafter.llama.ts';
import { ForeseenTokens } from './foreseen.llama.ts';
import { Likelihood } from './likelihood.llama.ts';
import { type PromptRenderer, promptOf, type Thoughts } from './prompt.llama.ts';
import { type ChoiceTools, TokenChoice } from './sampling.llama.ts';
import { keepBeginning, markOf, remember, sharedLength } from './sequence-state.llama.ts';
import { Speech } from './speech.llama.ts';
import { TextStream } from './text-stream.ts';

/** What a generation needs beside its request. */
export interface GenerationTools extends ChoiceTools {
  readonly prompts: PromptRenderer;
  /** The model has another one that foresees: its tokens are chosen place by place. */
  readonly foresees: boolean;
  readonly send: (message: ChildMessage) => void;
  readonly now: () => number;
}

/** Whole answers are sent in portions, so that what was computed is known when it breaks off half-way. */
const PORTION_TOKENS = 64;
const PORTION_MS = 1000;

const UNSOUND = 'The answer does not fit the schema that was asked for. Try again.';

/** One answer on one sequence: prompt in portions, then token by token. The driver asks for one portion in each round. */
export class Generation {
  readonly request: GenerateMessage;
  readonly #tools: GenerationTools;
  readonly #prompt: readonly Token[];
  readonly #maxTokens: number;
  readonly #text: TextStream;
  #sequence: LlamaContextSequence | undefined;
  readonly #choice: TokenChoice;
  #foreseen: ForeseenTokens | undefined;
  /** Of the answer, not computed yet; null before there is one. */
  #last: Token | null = null;
  #isChosen = false;
  /** Where in the prompt a state is remembered that could not be found again else; -1: nowhere. */
  #mark = -1;
  /** Prompt tokens that are in the sequence's state. */
  #evaluated = 0;
  #cached = 0;
  #sampled = 0;
  #reasoned = 0;
  #pendingTokens = 0;
  #sentAt = 0;
  #credit: number;
  #creditIsFinal = false;
  #isStarved = false;
  /** Null where there is nothing to call. */
  readonly #calling: Calling | null;
  readonly #speech: Speech;
  /** Null where the template knows of none, or the prompt stands without it. */
  readonly #thoughts: Thoughts | null;
  readonly #likelihood: Likelihood | null;
  #shown = 0;
  cancelled = false;

  /** @throws Refusal, before anything was computed */
  constructor(request: GenerateMessage, tools: GenerationTools) {
    this.request = request;
    this.#credit = request.credit;
    this.#tools = tools;
    this.#prompt = promptOf(request, tools.prompts);
    const room = tools.contextSize - this.#prompt.length;
    if (room < 1) {
      throw new Refusal(
        'context_length_exceeded',
        `The prompt has ${this.#prompt.length} tokens; this model's context holds ${tools.contextSize}, the answer included.`,
      );
    }
    this.#maxTokens = Math.min(request.maxTokens, room);
    this.#choice = new TokenChoice(request, tools);
    this.#likelihood =
      request.topLogprobs === undefined ? null : new Likelihood(tools.model, request.topLogprobs, tools.batches);
    this.#thoughts = request.prompt === undefined ? tools.prompts.thoughts : null;
    // Of a model that thinks, stop texts are looked for when it is known what it says.
    const stop = this.#thoughts === null ? request.stop : [];
    this.#calling = request.tools === undefined ? null : new Calling(request.tools, stop, tools);
    const reader = this.#thoughts && new ThoughtReader(this.#thoughts.opensIn(this.#prompt));
    this.#speech = new Speech(this.#calling, reader, request.stop, request.schema !== undefined);
    const detokenize = (tokens: readonly number[], before: readonly number[]) =>
      tools.model.detokenize(tokens as Token[], this.#shows(tokens), before as Token[]);
    this.#text = new TextStream(detokenize, this.#calling === null ? stop : [], this.#prompt);
  }

  /** Whether tokens are to be read with what control tokens spell. */
  #shows(tokens: readonly number[]): boolean {
    const isMark = tokens.some((token) => this.#thoughts?.marks.has(token as Token));
    return isMark || (this.#calling?.shows(tokens) ?? false);
  }

  /** More is paid for. */
  extend(total: number, final: boolean): void {
    this.#credit = total;
    this.#creditIsFinal = final;
    this.#isStarved = false;
  }

  /** False while the next token is not paid for; says so once to whoever pays. */
  get mayGoOn(): boolean {
    if (this.#prompt.length + this.#sampled < this.#credit || this.#creditIsFinal) return true;
    if (!this.#isStarved) this.#tools.send({ t: 'starved', id: this.request.id });
    this.#isStarved = true;
    return false;
  }

  /** Prompt tokens still to be evaluated; 0 once tokens are being generated. */
  get prefillLeft(): number {
    return this.#isChosen ? 0 : this.#prompt.length - this.#evaluated;
  }

  /** How much of this prompt a sequence already holds. */
  sharedWith(state: readonly Token[]): number {
    return sharedLength(state, this.#prompt);
  }

  /** Whether this prompt goes on after these tokens. */
  beginsWith(tokens: readonly Token[]): boolean {
    return tokens.length < this.#prompt.length && this.sharedWith(tokens) === tokens.length;
  }

  /** How many tokens another prompt has in common with this one, as long as they are still being computed here; else 0. */
  sharedBeginning(other: Generation): number {
    const shared = other.sharedWith(this.#prompt);
    return this.prefillLeft > 0 && this.#evaluated < shared && !this.cancelled ? shared : 0;
  }

  /** Takes a sequence whose state is empty or belongs to the same user. */
  async begin(sequence: LlamaContextSequence): Promise<void> {
    this.#tools.send({ t: 'started', id: this.request.id, promptTokens: this.#prompt.length });
    // The last token must be evaluated anew in any case: the first answer token is sampled from its result.
    await keepBeginning(sequence, this.#prompt.slice(0, -1));
    this.#sequence = sequence;
    this.#mark = markOf(sequence, this.#prompt.length);
    this.#evaluated = this.#cached = sequence.nextTokenIndex;
    this.#sentAt = this.#tools.now();
  }

  /** Nothing is paid for any more, and nothing will be. */
  get isSpent(): boolean {
    return this.#prompt.length + this.#sampled >= this.#credit;
  }

  /** The end of one that is spent. */
  cut(): ChildMessage {
    return this.#end('length');
  }

  /** What is to be computed next: up to `budget` prompt tokens, or one token more. Null: it goes on by itself, see `stepAlone`. */
  portion(budget: number): Portion | Promise<Portion> | null {
    const sequence = this.#sequence;
    if (sequence === undefined) throw new Error('a portion before begin');
    if (this.#foreseen !== undefined) return null;
    if (this.#last !== null) return { sequence, tokens: [this.#last], sampler: this.#choice.sampler };
    const until = this.#evaluated < this.#mark ? this.#mark : this.#prompt.length;
    const tokens = this.#prompt.slice(this.#evaluated, Math.min(until, this.#evaluated + budget));
    if (this.prefillLeft > tokens.length) return { sequence, tokens, sampler: null };
    this.#isChosen = true;
    const grammar = this.#calling?.grammar ?? this.request.grammar;
    if (!this.#mayForesee) return this.#choice.begin(grammar).then((sampler) => ({ sequence, tokens, sampler }));
    const choice = { ...this.#choice.options, seed: this.request.seed };
    this.#foreseen = new ForeseenTokens(sequence, this.#prompt, choice, this.#tools.now);
    return null;
  }

  /**
   * The portion is computed. @param chosen the token after it, where it was to be chosen
   *
   * @returns the message that ends this generation, or null while it goes on
   */
  take(chosen: Chosen): ChildMessage | null | Promise<ChildMessage | null> {
    if (chosen instanceof Error) throw chosen;
    if (this.#sequence === undefined) throw new Error('a token before begin');
    this.#evaluated = this.#sequence.nextTokenIndex;
    if (chosen === null) return this.#evaluated === this.#mark ? remember(this.#sequence) : null;
    this.#last = chosen;
    const isSaid = this.#calling?.isText !== false && this.#speech.phase !== 'thinking';
    if (this.#likelihood === null || this.#isEnd(chosen) || !isSaid) return this.#accept(chosen);
    return this.#hear(this.#likelihood, chosen);
  }

  async #hear(likelihood: Likelihood, token: Token): Promise<ChildMessage | null> {
    if (this.#sequence === undefined) throw new Error('a token before begin');
    await likelihood.hear(this.#sequence, token, this.#calling === null ? this.#text.length : 0);
    return this.#accept(token);
  }

  /** Chooses one token, and those that the drafter foresaw rightly. @returns as `take` does */
  async stepAlone(drafter: Drafter | null): Promise<ChildMessage | null> {
    if (this.#foreseen === undefined) throw new Error('nothing was foreseen');
    const paid = this.#credit - this.#prompt.length - this.#sampled;
    const most = Math.min(paid, this.#maxTokens - this.#sampled) - 1;
    this.#tools.spent.sampler();
    for (const token of await this.#foreseen.next(drafter, this.request.subject, most)) {
      const end = this.#accept(token);
      if (end !== null) return end;
    }
    return null;
  }

  /** A grammar, calls, penalties and likelihoods follow the answer token by token. */
  get #mayForesee(): boolean {
    const isPlain = this.request.grammar === null && this.#calling === null;
    return this.#tools.foresees && isPlain && this.#choice.isByPlace && this.#likelihood === null;
  }

  #isEnd(token: Token): boolean {
    return this.#tools.model.isEogToken(token) || this.#tools.prompts.endTokens.has(token);
  }

  #accept(token: Token): ChildMessage | null {
    if (this.#isEnd(token)) return this.#end('stop');
    this.#sampled++;
    this.#choice.chosen(token);
    this.#pendingTokens++;
    if (this.#speech.push(this.#text.push(token))) return this.#finished('stop');
    const { phase } = this.#speech;
    if (phase === 'thinking' || phase === 'between') {
      // Thoughts come first: so far nothing was said.
      this.#reasoned = this.#sampled;
      this.#likelihood?.forget();
    }
    const isLast =
      this.#sampled >= this.#maxTokens || (this.#creditIsFinal && this.#prompt.length + this.#sampled >= this.#credit);
    return isLast ? this.#end('length') : null;
  }

  #end(reason: 'stop' | 'length'): ChildMessage {
    return this.#finished(this.#speech.end(this.#text.end()) ? 'stop' : reason);
  }

  /** The grammar has seen to it; here it is made sure. */
  get #isSound(): boolean {
    if (this.#calling?.hasCalled) return this.#calling.isSound;
    return this.request.schema === undefined || fitsSchema(this.#speech.whole, this.request.schema);
  }

  #finished(end: 'stop' | 'length'): ChildMessage {
    if (end === 'stop' && !this.#isSound) {
      return { t: 'failed', id: this.request.id, code: 'engine_failed', param: 'messages', message: UNSOUND };
    }
    const reason = end === 'stop' && this.#calling?.hasCalled ? 'tool_calls' : end;
    const usage = {
      promptTokens: this.#prompt.length,
      completionTokens: this.#sampled,
      cachedTokens: this.#cached,
      ...(this.#thoughts === null ? {} : { reasoningTokens: this.#reasoned }),
    };
    return { t: 'finished', id: this.request.id, reason, usage };
  }

  /** What may be shown now and was not yet. @param all at the end: also what is waiting for company */
  takeDelta(all: boolean): DeltaItem | null {
    const hasNothing = this.#speech.isEmpty;
    if (this.#pendingTokens === 0 && hasNothing) return null;
    if (!all) {
      if (hasNothing) return null;
      const due = this.#pendingTokens >= PORTION_TOKENS || this.#tools.now() - this.#sentAt >= PORTION_MS;
      if (!this.request.stream && !due) return null;
    }
    const { text, thought, calls } = this.#speech.take();
    const delta = [this.request.id, text, this.#pendingTokens] as const;
    this.#shown += text.length;
    this.#pendingTokens = 0;
    this.#sentAt = this.#tools.now();
    if (this.#likelihood === null && calls.length === 0 && thought === '') return delta;
    return [
      ...delta,
      {
        ...(this.#likelihood === null ? {} : { logprobs: this.#likelihood.take(this.#shown + this.#speech.skipped) }),
        ...(calls.length === 0 ? {} : { calls }),
        ...(thought === '' ? {} : { thought }),
      },
    ];
  }

  /** Lets go of the sampler. The sequence's state stays, for this user's next prompt. */
  release(): void {
    this.#choice.end();
  }
}
