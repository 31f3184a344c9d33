import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { readLogprobs, type UpstreamPiece } from './completion.contract.ts';
import type {
  EmbeddingEvent,
  EmbeddingRequest,
  Engine,
  GenerationEvent,
  GenerationRequest,
  ModelState,
  ModelStatus,
} from './engine.ts';
import { UPSTREAM_LIMITS, UpstreamError, type UpstreamLimits } from './http-client.upstream.ts';
import { unsampled } from './making.ts';
import type { UpstreamModelSpec } from './model-spec.ts';
import { engineFailed, makesNoText, makesNoVectors, notLoaded, promptParam } from './refusal.ts';
import { ReplicaSet } from './replica-set.upstream.ts';
import { Turnstile } from './turnstile.ts';
import { estimatePrompt, inputBound, inputTooLong, promptBound, tokensBound, usageOf } from './upstream-count.ts';
import { embeddingCall, vectorsOf } from './vectors.upstream.ts';
import { generationCall, streamedPieces, wholePiece } from './wire.upstream.ts';

export interface UpstreamDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<UpstreamLimits>;
}

/** Opens a model on any OpenAI-compatible server (vLLM, SGLang, llama-server). Connects when it is asked something. */
export function openUpstreamModel(spec: UpstreamModelSpec, deps: UpstreamDeps): Engine {
  const { protocol } = new URL(spec.url);
  if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`model '${spec.id}': url must be http or https`);
  return new UpstreamEngine(spec, deps);
}

const SLOTS = 256;
const PROBE_MS = 5000;

class UpstreamEngine implements Engine {
  readonly #spec: UpstreamModelSpec;
  readonly #deps: UpstreamDeps;
  readonly #limits: UpstreamLimits;
  readonly #turnstile: Turnstile;
  #replicas: ReplicaSet | null = null;
  /** Aborted by `close`. */
  #lifetime = new AbortController();
  /** Answers under way, to be ended by `close`. */
  readonly #running = new Set<AbortController>();
  #state: ModelState = 'unloaded';

  constructor(spec: UpstreamModelSpec, deps: UpstreamDeps) {
    this.#spec = spec;
    this.#deps = deps;
    this.#limits = { ...UPSTREAM_LIMITS, ...deps.limits };
    this.#turnstile = new Turnstile({
      slots: spec.parallel ?? SLOTS,
      maxQueue: this.#limits.maxQueue,
      maxWaitMs: this.#limits.maxQueueMs,
      maxClosedWaitMs: this.#limits.maxQueueMs,
      after: (milliseconds, call) => {
        const timer = setTimeout(call, milliseconds);
        return () => clearTimeout(timer);
      },
    });
  }

  status(): ModelStatus {
    return {
      id: this.#spec.id,
      engine: 'upstream',
      makes: this.#spec.embedding ? 'vectors' : 'text',
      state: this.#state,
      contextSize: this.#spec.contextSize ?? null,
      maxOutputTokens: this.#spec.maxOutputTokens,
      digest: null,
      adapter: null,
      templateDigest: null,
      slots: this.#spec.parallel ?? SLOTS,
      busy: this.#turnstile.busy,
      queued: this.#turnstile.queued,
      pid: null,
      restarts: 0,
      progress: null,
      quarantine: null,
      backend: null,
      layers: null,
      memory: null,
    };
  }

  /** Ready when the server answers at all below 500; that it is the right one shows with the first request. */
  async load(): Promise<void> {
    if (this.#state === 'ready') return;
    if (this.#replicas === null) {
      this.#replicas = new ReplicaSet(this.#spec, this.#limits);
      this.#lifetime = new AbortController();
    }
    this.#state = 'loading';
    const replicas = this.#replicas;
    try {
      await replicas.probe(AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(PROBE_MS)]));
    } catch (error) {
      if (this.#replicas === replicas) this.#state = 'failed';
      throw this.#failure(error);
    }
    if (this.#replicas !== replicas) throw notLoaded();
    this.#state = 'ready';
    this.#turnstile.open();
  }

  pardon(): void {}

  async close(): Promise<void> {
    this.#state = 'unloaded';
    this.#turnstile.close();
    this.#turnstile.refuseAll(notLoaded());
    this.#lifetime.abort(failed('closed'));
    for (const stop of this.#running) stop.abort(this.#lifetime.signal.reason);
    this.#replicas?.close();
    this.#replicas = null;
  }

  async *generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    this.#assertServing();
    if (this.#spec.embedding) throw makesNoText();
    if (request.responseFormat.type !== 'text' && this.#spec.structuredOutput === false) {
      throw new Problem('invalid_parameter', {
        message: 'This model does not enforce response formats.',
        param: 'response_format',
      });
    }
    yield* this.#work(request, signal, (queuedMs, stop) => this.#answer(request, queuedMs, stop));
  }

  async *embed(request: EmbeddingRequest, signal: AbortSignal): AsyncGenerator<EmbeddingEvent, void, undefined> {
    signal.throwIfAborted();
    this.#assertServing();
    if (!this.#spec.embedding) throw makesNoVectors();
    yield* this.#work(request, signal, (queuedMs, stop) => this.#vectors(request, queuedMs, stop));
  }

  #assertServing(): void {
    if (this.#state === 'unloaded') throw notLoaded();
    if (this.#state === 'failed') throw failed('probe failed');
  }

  /** Waits for a place, and ends what was begun on the server whenever its reader leaves. */
  async *#work<E extends GenerationEvent | EmbeddingEvent>(
    request: GenerationRequest | EmbeddingRequest,
    signal: AbortSignal,
    begin: (queuedMs: number, stop: AbortSignal) => AsyncGenerator<E, void, undefined>,
  ): AsyncGenerator<E, void, undefined> {
    const askedAt = this.#deps.clock.monotonic();
    const leave = await this.#turnstile.enter(request.subject, signal, request.priority);
    const queuedMs = Math.round(this.#deps.clock.monotonic() - askedAt);
    // One controller that others abort, not AbortSignal.any: that holds its followers by WeakRef, which the young
    // generation's collector takes for strong, so that every request would live on into the old one.
    const stop = new AbortController();
    this.#running.add(stop);
    const onAbort = () => {
      // At once, not when the reader comes back: he may be waiting for his own client.
      leave();
      stop.abort(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    let complete = false;
    try {
      for await (const event of begin(queuedMs, stop.signal)) {
        complete = event.type === 'finished';
        yield event;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw this.#failure(this.#lifetime.signal.aborted ? this.#lifetime.signal.reason : error);
    } finally {
      // Whatever the reason for leaving, an answer that still runs is ended on the server too.
      if (!complete) stop.abort();
      this.#running.delete(stop);
      signal.removeEventListener('abort', onAbort);
      leave();
    }
  }

  async *#answer(
    request: GenerationRequest,
    queuedMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const replicas = this.#replicas;
    if (replicas === null) throw notLoaded();
    const { credit, temperature = null, topP = null, seed = null } = request;
    const prompt = promptBound(request);
    const longest = request.maxTokens ?? this.#spec.maxOutputTokens;
    // Another server's whole answer can't be stopped half-way: it is paid for in advance.
    await credit.begin(prompt, longest, !request.stream);
    const most = request.stream ? longest : Math.min(longest, credit.total - prompt);
    const call = generationCall(this.#spec, request, most);
    const answer = await replicas.send(call, signal);
    if (answer.status !== 200) throw await answer.problem(() => this.#tooLong(request));
    // What was not said, the server decides; which build it is, it does not say.
    yield { type: 'started', promptTokens: prompt, making: { build: null, temperature, topP, seed, queuedMs } };

    let reason: string | null = null;
    let usage: UpstreamPiece['usage'] = null;
    let sampled = 0;
    const pieces = request.stream ? streamedPieces(answer.bytes()) : [wholePiece(call, await answer.text())];
    for await (const piece of pieces) {
      reason = piece.finishReason ?? reason;
      usage = piece.usage ?? usage;
      if (piece.text === '') continue;
      // It was told the longest answer, so that there are no more tokens than that, however many bytes.
      const tokens = Math.min(tokensBound(piece.text), most - sampled);
      sampled += tokens;
      if (!(await credit.covers(prompt + sampled))) {
        // Nothing more is paid for: this piece does not leave, and the rest is not wanted.
        answer.destroy();
        yield { type: 'finished', reason: 'length', usage: usageOf(null, prompt, sampled - tokens) };
        return;
      }
      if (request.topLogprobs === undefined) {
        yield { type: 'delta', text: piece.text, tokens };
        continue;
      }
      const logprobs = readLogprobs(piece.logprobs);
      if (logprobs === null || logprobs.length === 0) throw new UpstreamError('answer without the logprobs asked for');
      yield { type: 'delta', text: piece.text, tokens, logprobs };
    }
    if (reason === null) throw new UpstreamError('answer ended without a finish reason');
    yield {
      type: 'finished',
      reason: reason === 'length' ? 'length' : 'stop',
      usage: usageOf(usage, prompt, sampled),
    };
  }

  /** All texts in one question: its answer comes at once, or not at all. */
  async *#vectors(
    request: EmbeddingRequest,
    queuedMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<EmbeddingEvent, void, undefined> {
    const replicas = this.#replicas;
    if (replicas === null) throw notLoaded();
    const bounds = request.inputs.map(inputBound);
    const tokens = bounds.reduce((sum, bound) => sum + bound, 0);
    await request.credit.begin(tokens, 0, true);
    const answer = await replicas.send(embeddingCall(this.#spec, request), signal);
    if (answer.status !== 200) throw await answer.problem(() => inputTooLong(request, this.#spec.contextSize));
    yield { type: 'started', promptTokens: tokens, longest: Math.max(...bounds), making: unsampled(null, queuedMs) };
    const { vectors, usage } = vectorsOf(await answer.text(), request.inputs.length);
    for (const [index, values] of vectors.entries()) yield { type: 'vector', index, values };
    yield { type: 'finished', reason: 'stop', usage: usageOf(usage, tokens, 0) };
  }

  #tooLong(request: GenerationRequest): Problem {
    const estimate = estimatePrompt(request);
    const size = this.#spec.contextSize;
    const context = size === undefined ? 'is smaller' : `holds ${size}, the answer included`;
    return new Problem('context_length_exceeded', {
      message: `The prompt has about ${estimate} tokens; this model's context ${context}.`,
      param: promptParam(request),
    });
  }

  #failure(error: unknown): Problem {
    const problem = error instanceof Problem ? error : failed(error);
    if (problem.code === 'engine_failed') {
      this.#deps.log.warn('model server failed', { model: this.#spec.id, error: problem.cause ?? problem });
    }
    return problem;
  }
}

const failed = (cause: unknown): Problem => engineFailed('The model server failed. Try again.', cause);
