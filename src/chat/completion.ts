import type { Commitment } from '#audit/commitment.ts';
import { answerText, promptText, type SpokenAnswer } from '#audit/transcript.shared.ts';
import type {
  Engine,
  FinishReason,
  GenerationDelta,
  GenerationRequest,
  Making,
  Milestone,
  ModelStatus,
  TokenLogprob,
  ToolCall,
  Usage,
} from '#engine/engine.ts';
import type { CallPiece } from '#engine/grammar/call-reader.ts';
import { promptParam } from '#engine/refusal.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Report } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';

export interface CompletionDeps {
  readonly clock: Clock;
  readonly commitment: Commitment;
  /** Most tokens that policy lets a prompt have; null: as many as the model takes. */
  readonly longestPrompt: number | null;
  /** The limit at which no more tokens were to be had (`tokens_day:user`), if any. */
  readonly limit: () => string | null;
}

/** Where the pieces of an answer go. A promise: it holds the model up. */
export type PieceTaker = (piece: GenerationDelta) => void | Promise<void>;

/** One answer while it is made: passes the text on, and knows at any moment what the record must say of it. */
export class Completion {
  readonly #request: GenerationRequest;
  readonly #model: ModelStatus;
  readonly #milestones: AsyncGenerator<Milestone, void, undefined>;
  readonly #clock: Clock;
  readonly #commitment: Commitment;
  readonly #longestPrompt: number | null;
  readonly #limit: () => string | null;
  readonly #startedAt: number;
  #promptTokens: number | null = null;
  #completionTokens = 0;
  #making: Making | null = null;
  #takenMs: number | null = null;
  #firstTokenMs: number | null = null;
  #answer = '';
  #thought = '';
  readonly #logprobs: TokenLogprob[] | null;
  readonly #calls: CallPiece[] = [];
  #finished: { readonly reason: FinishReason; readonly usage: Usage } | null = null;
  #out: PieceTaker = () => {};
  /** What `out` threw. */
  #refusal: { readonly of: unknown } | null = null;
  #isLeft = false;

  constructor(engine: Engine, request: GenerationRequest, signal: AbortSignal, deps: CompletionDeps) {
    this.#request = request;
    this.#model = engine.status();
    this.#milestones = engine.generate(request, signal, (delta) => this.#take(delta));
    this.#clock = deps.clock;
    this.#commitment = deps.commitment;
    this.#longestPrompt = deps.longestPrompt;
    this.#limit = deps.limit;
    this.#startedAt = deps.clock.monotonic();
    this.#logprobs = request.topLogprobs === undefined || request.stream ? null : [];
  }

  /** Waits until the model has taken the prompt. @throws Problem while the answer can still be an HTTP status. */
  async begin(): Promise<void> {
    const { value } = await this.#milestones.next();
    if (value?.type !== 'started') throw new Problem('engine_failed');
    if (this.#longestPrompt !== null && value.promptTokens > this.#longestPrompt) {
      await this.#milestones.return();
      throw new Problem('out_of_bounds', {
        message: `${promptParam(this.#request)}: policy allows you prompts of 1 to ${this.#longestPrompt} tokens; this one has ${value.promptTokens}.`,
        param: promptParam(this.#request),
      });
    }
    this.#promptTokens = value.promptTokens;
    this.#making = value.making ?? null;
    this.#takenMs = this.#elapsed();
  }

  /**
   * Makes the answer. Its pieces go to `out` as they come; the model waits while `out` has not let the last one through.
   *
   * @throws what `out` throws, which ends the answer
   */
  async make(out: PieceTaker): Promise<void> {
    this.#out = out;
    for await (const event of this.#milestones) if (event.type === 'finished') this.#finished = event;
    if (this.#refusal !== null) throw this.#refusal.of;
    if (this.#finished === null) throw new Problem('engine_failed');
  }

  #take(delta: GenerationDelta): boolean | Promise<boolean> {
    if (this.#isLeft) return false;
    const { text, thought, calls, logprobs, tokens } = delta;
    this.#firstTokenMs ??= this.#elapsed();
    this.#completionTokens += tokens;
    this.#answer += text;
    if (thought !== undefined) this.#thought += thought;
    if (logprobs !== undefined) this.#logprobs?.push(...logprobs);
    if (calls !== undefined) this.#calls.push(...calls);
    if (text === '' && !thought && !calls && !logprobs?.length) return true;
    try {
      const going = this.#out(delta);
      return going === undefined ? true : going.then(() => true, this.#refuse);
    } catch (thrown) {
      return this.#refuse(thrown);
    }
  }

  readonly #refuse = (of: unknown): boolean => {
    this.#refusal = { of };
    return false;
  };

  /** Ends it, if it still runs. */
  async leave(): Promise<void> {
    this.#isLeft = true;
    await this.#milestones.return();
  }

  /** Of a whole answer, where they were asked for; of a stream they go out with the text and are not kept. */
  get logprobs(): readonly TokenLogprob[] | null {
    return this.#logprobs;
  }

  /** What was said so far, as it is committed to. */
  get answer(): SpokenAnswer & { readonly tool_calls: readonly ToolCall[] } {
    return {
      content: this.#answer,
      ...(this.#thought === '' ? {} : { reasoning_content: this.#thought }),
      tool_calls: callsOf(this.#calls),
    };
  }

  get finishReason(): FinishReason {
    return this.#finished?.reason ?? 'length';
  }

  /** Where a quota ended the answer and not its own length: which one. */
  get stoppedBy(): { readonly stopped_by?: { readonly quota: string; readonly scope: string } } {
    const { usage, finishReason } = this;
    const limit = this.#limit();
    if (limit === null || finishReason !== 'length' || usage.completionTokens >= (this.#request.maxTokens ?? Infinity))
      return {};
    const [quota = '', scope = ''] = limit.split(':');
    return { stopped_by: { quota, scope } };
  }

  get usage(): Usage {
    return (
      this.#finished?.usage ?? {
        promptTokens: this.#promptTokens ?? 0,
        completionTokens: this.#completionTokens,
        cachedTokens: 0,
      }
    );
  }

  /** For the outcome record: counts, digests, sampler, timings and commitments; no text. */
  report(): Report {
    const { promptTokens, completionTokens, cachedTokens } = this.usage;
    const { messages, temperature, topP, seed, maxTokens, stop, stream, responseFormat, priority } = this.#request;
    const [commitment, making] = [this.#commitment, this.#making];
    return {
      ran: this.#promptTokens !== null,
      tokens: promptTokens + completionTokens,
      facts: {
        engine: this.#model.engine,
        engine_build: making?.build ?? null,
        ...(making?.server === undefined ? {} : { answered_by: making.server }),
        weights_sha256: this.#model.digest,
        adapter_sha256: this.#model.adapter?.digest ?? null,
        adapter_scale: decimal(this.#model.adapter?.scale),
        template_sha256: this.#model.templateDigest,
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        cached_tokens: cachedTokens,
        finish_reason: this.#finished?.reason ?? null,
        quota_limit: this.#limit(),
        stream,
        response_format: responseFormat.type,
        temperature: decimal(making?.temperature ?? temperature),
        top_p: decimal(making?.topP ?? topP),
        seed: making?.seed ?? seed ?? null,
        stop_sequences: stop?.length ?? 0,
        max_tokens: maxTokens ?? null,
        priority: priority ?? 'interactive',
        queue_ms: making?.queuedMs ?? null,
        prefill_ms: this.#firstTokenMs === null || this.#takenMs === null ? null : this.#firstTokenMs - this.#takenMs,
        first_token_ms: this.#firstTokenMs,
        duration_ms: this.#elapsed(),
        prompt_commitment: commitment.to(promptText(messages)),
        answer_commitment: commitment.to(answerText([this.answer])),
        ...unusual(this.#request, this.answer),
      },
      opening: commitment.opening,
    };
  }

  #elapsed(): number {
    return Math.round(this.#clock.monotonic() - this.#startedAt);
  }
}

/** Calls put together from their pieces. */
function callsOf(pieces: readonly CallPiece[]): ToolCall[] {
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = [];
  for (const { index, id, name, arguments: part } of pieces) {
    calls[index] ??= { id: id ?? '', type: 'function', function: { name: name ?? '', arguments: '' } };
    calls[index].function.arguments += part;
  }
  return calls;
}

/** What few requests say, and only their records. */
function unusual(
  { tools, logitBias, frequencyPenalty, presencePenalty, topLogprobs }: GenerationRequest,
  { reasoning_content: thought, tool_calls: { length: calls } }: Completion['answer'],
) {
  return {
    ...(tools === undefined ? {} : { tools: tools.functions.length }),
    ...(calls === 0 ? {} : { tool_calls: calls }),
    ...(thought === undefined ? {} : { reasoning_bytes: Buffer.byteLength(thought) }),
    ...(logitBias === undefined ? {} : { logit_bias: Object.keys(logitBias).length }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: decimal(frequencyPenalty) }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: decimal(presencePenalty) }),
    ...(topLogprobs === undefined ? {} : { top_logprobs: topLogprobs }),
  };
}

/** Records hold integers only; a fraction is kept as its decimal text. */
const decimal = (value: number | undefined): string | null => (value === undefined ? null : String(value));
