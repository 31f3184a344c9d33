import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { Stop, UpstreamError } from './answer.upstream.ts';
import type { UpstreamPiece } from './completion.contract.ts';
import type { Engine, GenerationEvent, GenerationRequest, ModelState, ModelStatus } from './engine.ts';
import type { EngineEvent } from './engine-event.ts';
import { UPSTREAM_LIMITS, type UpstreamLimits } from './http-client.upstream.ts';
import type { UpstreamModelSpec } from './model-spec.ts';
import { engineFailed, notLoaded, promptParam } from './refusal.ts';
import type { Exchange } from './replica.upstream.ts';
import { affinityOf } from './replica-choice.ts';
import { ReplicaSet } from './replica-set.upstream.ts';
import { AnswerTally } from './tally.upstream.ts';
import { Turnstile } from './turnstile.ts';
import { estimatePrompt, promptBound } from './upstream-count.ts';
import { refusalOf } from './upstream-refusal.ts';
import { AnswerReader, checkHead, generationCall } from './wire.upstream.ts';

export interface UpstreamDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<UpstreamLimits>;
  /** Calls back after so many milliseconds, where that is not by the system's timers; the result takes the call back. */
  readonly after?: (milliseconds: number, call: () => void) => () => void;
  /** From 0 to 1. */
  readonly random?: () => number;
  readonly onEvent?: (event: EngineEvent) => void;
}

/** Opens a model on OpenAI-compatible servers (vLLM, SGLang, llama-server, Strongroom). Connects when it is put in service. */
export function openUpstreamModel(spec: UpstreamModelSpec, deps: UpstreamDeps): Engine {
  if (spec.urls.length === 0) throw new Error(`model '${spec.id}': no server is named`);
  for (const url of spec.urls) {
    const { protocol, username, password, search } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error(`model '${spec.id}': url must be http or https`);
    // It stands in logs and on pages.
    if (username + password + search !== '') throw new Error(`model '${spec.id}': url must hold no secret`);
  }
  return new UpstreamEngine(spec, deps);
}

const SLOTS = 256;
const ERROR_BODY_BYTES = 16 * 1024;
const NONE: readonly UpstreamPiece[] = [];

const systemAfter = (milliseconds: number, call: () => void): (() => void) => {
  const timer = setTimeout(call, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
};

class UpstreamEngine implements Engine {
  readonly #spec: UpstreamModelSpec;
  readonly #deps: UpstreamDeps;
  readonly #limits: UpstreamLimits;
  readonly #turnstile: Turnstile;
  readonly #tally: AnswerTally;
  /** Null while it is not in service. */
  #replicas: ReplicaSet | null = null;
  #opening: Promise<void> | null = null;
  /** Answers under way, to be ended by `close`. */
  readonly #running = new Set<Stop>();

  constructor(spec: UpstreamModelSpec, deps: UpstreamDeps) {
    this.#spec = spec;
    this.#deps = deps;
    this.#limits = { ...UPSTREAM_LIMITS, ...deps.limits };
    this.#tally = new AnswerTally(spec, deps);
    this.#turnstile = new Turnstile({
      slots: spec.parallel ?? SLOTS,
      maxQueue: this.#limits.maxQueue,
      maxWaitMs: this.#limits.maxQueueMs,
      maxClosedWaitMs: this.#limits.maxQueueMs,
      after: systemAfter,
    });
  }

  status(): ModelStatus {
    const { id, contextSize = null, maxOutputTokens, parallel: slots = SLOTS } = this.#spec;
    const { busy, queued } = this.#turnstile;
    const { miscounted, misnamed } = this.#tally;
    return {
      id,
      engine: 'upstream',
      state: this.#state,
      contextSize,
      maxOutputTokens,
      digest: null,
      templateDigest: null,
      slots,
      busy,
      queued,
      pid: null,
      restarts: 0,
      progress: null,
      quarantine: null,
      memory: null,
      upstream: { replicas: this.#replicas?.replicas ?? [], miscounted, misnamed },
    };
  }

  get #state(): ModelState {
    if (this.#replicas === null) return 'unloaded';
    if (this.#opening !== null) return 'loading';
    return this.#replicas.isAvailable ? 'ready' : 'failed';
  }

  /** Resolves when one server is there, or all were looked at and none is: from then on they are looked at again and again. */
  async load(): Promise<void> {
    if (this.#replicas !== null) {
      // An admin calls for it again: what is down is looked at now and not at its next turn.
      await (this.#opening ?? (this.#replicas.isAvailable ? null : this.#replicas.open()));
      return;
    }
    const { clock, log, after = systemAfter, random = Math.random, onEvent } = this.#deps;
    const replicas = new ReplicaSet(this.#spec, {
      limits: this.#limits,
      clock,
      log,
      after,
      random,
      onAvailable: (isAvailable, how) =>
        onEvent?.({ type: isAvailable ? 'available' : 'unavailable', model: this.#spec.id, how }),
    });
    this.#replicas = replicas;
    this.#opening = replicas.open();
    await this.#opening;
    if (this.#replicas !== replicas) throw notLoaded();
    this.#opening = null;
    this.#turnstile.open();
  }

  pardon(): void {}

  async close(): Promise<void> {
    const replicas = this.#replicas;
    this.#replicas = null;
    this.#opening = null;
    this.#turnstile.close();
    this.#turnstile.refuseAll(notLoaded());
    for (const stop of this.#running) stop.now(failed('closed'));
    replicas?.close();
  }

  async *generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    if (this.#replicas === null) throw notLoaded();
    if (request.responseFormat.type !== 'text' && this.#spec.structuredOutput === false) {
      throw new Problem('invalid_parameter', {
        message: 'This model does not enforce response formats.',
        param: 'response_format',
      });
    }
    const askedAt = this.#deps.clock.monotonic();
    const leave = await this.#turnstile.enter(request.subject, signal, request.priority);
    const queuedMs = Math.round(this.#deps.clock.monotonic() - askedAt);
    const stop = new Stop();
    this.#running.add(stop);
    const onAbort = () => {
      // At once, not when the reader comes back: he may be waiting for his own client.
      leave();
      stop.now(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    let exchange: Exchange | null = null;
    let isOver = false;
    try {
      const replicas = this.#replicas;
      if (replicas === null) throw notLoaded();
      const { credit, stream, subject, temperature = null, topP = null, seed = null } = request;
      const prompt = promptBound(request);
      const longest = request.maxTokens ?? this.#spec.maxOutputTokens;
      // Another server's whole answer can't be stopped half-way: it is paid for in advance.
      await credit.begin(prompt, longest, !stream);
      stop.check();
      const most = stream ? longest : Math.min(longest, credit.total - prompt);
      const call = generationCall(this.#spec, request, most);
      const affinity = this.#spec.urls.length > 1 ? affinityOf(request) : null;
      exchange = await replicas.send(call, { subject, affinity, whole: !stream }, stop);
      const { answer } = exchange;
      if (answer.status !== 200) throw await this.#refusal(exchange, request);
      checkHead(answer, stream);
      // What was not said, the server decides; which build it is, it does not say.
      yield { type: 'started', promptTokens: prompt, making: { build: null, temperature, topP, seed, queuedMs } };
      stop.check();

      const reader = new AnswerReader();
      const tally = this.#tally.begin({ request, prompt, asked: most });
      let pieces = stream ? NONE : [reader.whole(call, await answer.text(this.#limits.maxAnswerBytes))];
      for (;;) {
        if (pieces.length > 0) exchange.answering();
        for (const piece of pieces) {
          const tokens = tally.take(piece);
          if (tokens === null) continue;
          if (!(await credit.covers(prompt + tally.sampled))) {
            // Nothing more is paid for: this piece does not leave, and the rest is not wanted.
            answer.end(failed('no more is paid for'));
            exchange.complete();
            yield { type: 'finished', reason: 'length', usage: tally.without(tokens) };
            return;
          }
          yield { type: 'delta', text: piece.text, tokens };
          stop.check();
        }
        if (reader.isDone) break;
        // Whoever said why he ends has ended, also where he then says nothing more.
        const bytes = await (reader.finishReason === null ? answer.read() : answer.read().catch(() => null));
        stop.check();
        if (bytes === null) break;
        pieces = reader.pieces(bytes);
      }
      const reason = reader.finishReason;
      if (reason === null) throw new UpstreamError('answer ended without a finish reason');
      answer.leave();
      exchange.complete();
      isOver = true;
      yield { type: 'finished', reason: reason === 'length' ? 'length' : 'stop', usage: tally.usage() };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // A refusal, of the server or of ours, says nothing against it; anything else is an answer that was none.
      if (!(error instanceof Problem)) exchange?.failed('answered');
      throw this.#failure(error, exchange);
    } finally {
      exchange?.abandoned();
      // Whatever the reason for leaving, an answer that still runs is ended on the server too.
      if (!isOver) stop.now(failed('left'));
      this.#running.delete(stop);
      signal.removeEventListener('abort', onAbort);
      leave();
    }
  }

  async #refusal(exchange: Exchange, request: GenerationRequest): Promise<Problem> {
    const { answer } = exchange;
    const body = await answer.text(ERROR_BODY_BYTES).catch(() => '');
    if (answer.status >= 500) exchange.failed('answered');
    return refusalOf(answer.status, body, () => this.#tooLong(request));
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

  #failure(error: unknown, exchange: Exchange | null): Problem {
    const problem = error instanceof Problem ? error : failed(error);
    if (problem.code === 'engine_failed') {
      this.#deps.log.warn('model server failed', {
        model: this.#spec.id,
        ...(exchange === null ? {} : { address: exchange.replica.name }),
        error: problem.cause ?? problem,
      });
    }
    return problem;
  }
}

const failed = (cause: unknown): Problem => engineFailed('The model server failed. Try again.', cause);
