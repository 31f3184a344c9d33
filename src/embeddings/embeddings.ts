import type { Commitment } from '#audit/commitment.ts';
import type { EmbeddingEvent, EmbeddingRequest, Engine, Making, ModelStatus } from '#engine/engine.ts';
import { vectorText } from '#engine/vector-text.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Report, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';
import { normalised } from './vector.ts';

/** Tokens of a text are not known before the model has counted them: a quarter of the bytes, and what stands around it. */
const BYTES_PER_TOKEN = 4;
const AROUND_TOKENS = 2;

/** Of another server's model a text is taken for as long as it can be: a token for each byte. */
export function tokensToReserve(inputs: readonly string[], engine: ModelStatus['engine'] | undefined): Reserve {
  const perToken = engine === 'upstream' ? 1 : BYTES_PER_TOKEN;
  const tokens = inputs.reduce((sum, text) => sum + AROUND_TOKENS + Math.ceil(Buffer.byteLength(text) / perToken), 0);
  return { tokens, least: tokens };
}

export interface VectorListDeps {
  readonly clock: Clock;
  readonly commitment: Commitment;
  /** As it was sent: one text, or a list. What the record commits to. */
  readonly input: string | readonly string[];
  /** Most tokens that policy lets a text have; null: as many as the model takes. */
  readonly longestText: number | null;
}

/** The vectors of one request while they are made; knows at any moment what the record must say of them. */
export class VectorList {
  readonly #model: ModelStatus;
  readonly #events: AsyncGenerator<EmbeddingEvent, void, undefined>;
  readonly #deps: VectorListDeps;
  readonly #count: number;
  readonly #startedAt: number;
  readonly #vectors: Float32Array[] = [];
  #started: { readonly tokens: number; readonly making: Making | null } | null = null;
  #usage: number | null = null;

  constructor(engine: Engine, request: EmbeddingRequest, signal: AbortSignal, deps: VectorListDeps) {
    this.#model = engine.status();
    this.#events = engine.embed(request, signal);
    this.#count = request.inputs.length;
    this.#deps = deps;
    this.#startedAt = deps.clock.monotonic();
  }

  /** All of them, each of length 1. @throws Problem */
  async make(): Promise<readonly Float32Array[]> {
    for await (const event of this.#events) {
      if (event.type === 'started') {
        this.#refuseBeyondPolicy(event.longest);
        this.#started = { tokens: event.promptTokens, making: event.making ?? null };
      } else if (event.type === 'vector') {
        if (event.index !== this.#vectors.length) throw new Problem('engine_failed');
        this.#vectors.push(normalised(event.values));
      } else {
        this.#usage = event.usage.promptTokens;
      }
    }
    const sizes = new Set(this.#vectors.map(({ length }) => length));
    if (this.#usage === null || this.#vectors.length !== this.#count || sizes.size !== 1)
      throw new Problem('engine_failed');
    return this.#vectors;
  }

  get promptTokens(): number {
    return this.#usage ?? this.#started?.tokens ?? 0;
  }

  #refuseBeyondPolicy(longest: number): void {
    const most = this.#deps.longestText;
    if (most === null || longest <= most) return;
    throw new Problem('out_of_bounds', {
      message: `input: policy allows you texts of 1 to ${most} tokens; one has ${longest}.`,
      param: 'input',
    });
  }

  /** For the outcome record: counts, digests, timings and commitments; no text and no vector. */
  report(): Report {
    const { commitment, input, clock } = this.#deps;
    const making = this.#started?.making;
    return {
      ran: this.#started !== null,
      tokens: this.promptTokens,
      facts: {
        engine: this.#model.engine,
        engine_build: making?.build ?? null,
        ...(making?.server === undefined ? {} : { answered_by: making.server }),
        weights_sha256: this.#model.digest,
        prompt_tokens: this.promptTokens,
        completion_tokens: 0,
        inputs: this.#count,
        vectors: this.#vectors.length,
        dimensions: this.#vectors[0]?.length ?? null,
        queue_ms: making?.queuedMs ?? null,
        duration_ms: Math.round(clock.monotonic() - this.#startedAt),
        prompt_commitment: commitment.to(canonicalJson(input)),
        answer_commitment: commitment.to(canonicalJson(this.#vectors.map(vectorText))),
      },
      opening: commitment.opening,
    };
  }
}
