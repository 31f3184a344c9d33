import type { Commitment } from '#audit/commitment.ts';
import type { Engine, GenerationEvent, GenerationRequest, Making, ModelStatus, Usage } from '#engine/engine.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';
import type { Clock } from '#kernel/clock.ts';
import { Problem } from '#kernel/problem.ts';

export interface CompletionDeps {
  readonly clock: Clock;
  readonly commitment: Commitment;
  /** Most tokens that policy lets a prompt have; null: as many as the model takes. */
  readonly longestPrompt: number | null;
  /** The limit at which no more tokens were to be had (`tokens_day:user`), if any. */
  readonly limit: () => string | null;
}

/** One answer while it is made: passes the text on, and knows at any moment what the record must say of it. */
export class Completion {
  readonly #request: GenerationRequest;
  readonly #model: ModelStatus;
  readonly #events: AsyncGenerator<GenerationEvent, void, undefined>;
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
  #finished: { readonly reason: 'stop' | 'length'; readonly usage: Usage } | null = null;

  constructor(engine: Engine, request: GenerationRequest, signal: AbortSignal, deps: CompletionDeps) {
    this.#request = request;
    this.#model = engine.status();
    this.#events = engine.generate(request, signal);
    this.#clock = deps.clock;
    this.#commitment = deps.commitment;
    this.#longestPrompt = deps.longestPrompt;
    this.#limit = deps.limit;
    this.#startedAt = deps.clock.monotonic();
  }

  /** Waits until the model has taken the prompt. @throws Problem while the answer can still be an HTTP status. */
  async begin(): Promise<void> {
    const { value } = await this.#events.next();
    if (value?.type !== 'started') throw new Problem('engine_failed');
    if (this.#longestPrompt !== null && value.promptTokens > this.#longestPrompt) {
      await this.#events.return();
      throw new Problem('out_of_bounds', {
        message: `messages: policy allows you prompts of 1 to ${this.#longestPrompt} tokens; this one has ${value.promptTokens}.`,
        param: 'messages',
      });
    }
    this.#promptTokens = value.promptTokens;
    this.#making = value.making ?? null;
    this.#takenMs = this.#elapsed();
  }

  /** The pieces of the answer. */
  async *text(): AsyncGenerator<string, void, undefined> {
    for await (const event of this.#events) {
      if (event.type === 'delta') {
        this.#firstTokenMs ??= this.#elapsed();
        this.#completionTokens += event.tokens;
        this.#answer += event.text;
        if (event.text !== '') yield event.text;
      } else if (event.type === 'finished') {
        this.#finished = event;
      }
    }
    if (this.#finished === null) throw new Problem('engine_failed');
  }

  get finishReason(): 'stop' | 'length' {
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
  report() {
    const { promptTokens, completionTokens, cachedTokens } = this.usage;
    const { messages, temperature, topP, seed, maxTokens, stop, stream, responseFormat, priority } = this.#request;
    const [commitment, making] = [this.#commitment, this.#making];
    return {
      ran: this.#promptTokens !== null,
      tokens: promptTokens + completionTokens,
      facts: {
        engine: this.#model.engine,
        engine_build: making?.build ?? null,
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
        prompt_commitment: commitment.to(canonicalJson(messages.map(({ role, content }) => ({ role, content })))),
        answer_commitment: commitment.to(this.#answer),
      },
      opening: commitment.opening,
    };
  }

  #elapsed(): number {
    return Math.round(this.#clock.monotonic() - this.#startedAt);
  }
}

/** Records hold integers only; a fraction is kept as its decimal text. */
const decimal = (value: number | undefined): string | null => (value === undefined ? null : String(value));
