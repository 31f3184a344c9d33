import type {
  EmbeddingEvent,
  EmbeddingRequest,
  GenerationEvent,
  GenerationRequest,
  Making,
  Milestone,
  ModelStatus,
  Take,
} from '#engine/engine.ts';
import { makingOf, unsampled } from '#engine/making.ts';
import {
  besideOf,
  type LlamaModelSpec,
  placesOf,
  quarantineOf,
  specFaults,
  templateDigest,
  trialDigest,
} from '#engine/model-spec.ts';
import {
  childRefusal,
  ended,
  makesNoText,
  makesNoVectors,
  notLoaded,
  refuseHugeInputs,
  refuseHugePrompt,
} from '#engine/refusal.ts';
import { Turnstile } from '#engine/turnstile.ts';
import { vectorOf } from '#engine/vector-text.ts';
import type { Problem } from '#kernel/problem.ts';
import { generateMessage } from './generate-message.llama.ts';
import { type CreditNews, GenerationTable, type WorkEvent } from './generation-table.ts';
import { ChildLives } from './lives.llama.ts';
import {
  type LlamaDeps,
  type LlamaEngine,
  type LlamaMeasurements,
  NOTHING_MEASURED,
  pickMeasurements,
} from './port.llama.ts';
import { LLAMA_LIMITS, type LlamaLimits } from './process.llama.ts';
import type { ChildMessage, ParentMessage } from './protocol.contract.ts';

/** Opens a model that runs under llama.cpp in a child process of its own. Nothing is loaded before `load()`. */
export function openLlamaModel(spec: LlamaModelSpec, deps: LlamaDeps): LlamaEngine {
  const faults = specFaults(spec);
  if (faults.length > 0) throw new Error(`model '${spec.id}': ${faults.join('; ')}`);
  return new ChildEngine(spec, deps);
}

const WATCH_MS = 250;

class ChildEngine implements LlamaEngine {
  readonly #spec: LlamaModelSpec;
  readonly #deps: LlamaDeps;
  readonly #limits: LlamaLimits;
  readonly #templateDigest: string;
  readonly #turnstile: Turnstile;
  readonly #running = new GenerationTable();
  readonly #lives: ChildLives;
  #loading: PromiseWithResolvers<void> | null = null;
  #failure: Problem | null = null;
  #build: string | null = null;
  #watch: NodeJS.Timeout | undefined;
  #measured: LlamaMeasurements = NOTHING_MEASURED;

  constructor(spec: LlamaModelSpec, deps: LlamaDeps) {
    this.#spec = spec;
    this.#deps = deps;
    this.#limits = { ...LLAMA_LIMITS, ...deps.limits };
    this.#templateDigest = templateDigest(spec);
    this.#lives = new ChildLives({
      spec,
      limits: this.#limits,
      deps,
      onReady: (build) => {
        this.#build = build;
        this.#turnstile.open();
        this.#settleLoad(null);
      },
      onMessage: (message) => this.#receive(message),
      onLost: () => {
        this.#turnstile.close();
        this.#running.endAll(ended());
      },
      onFailed: (failure) => {
        this.#failure = failure;
        this.#turnstile.refuseAll(failure);
        this.#settleLoad(failure);
      },
    });
    this.#turnstile = new Turnstile({
      slots: placesOf(spec),
      perSubject: spec.parallel,
      maxQueue: this.#limits.maxQueue,
      maxWaitMs: this.#limits.maxQueueMs,
      maxClosedWaitMs: this.#limits.maxLoadingWaitMs,
      after: (milliseconds, call) => {
        const timer = setTimeout(call, milliseconds);
        return () => clearTimeout(timer);
      },
    });
  }

  status(): ModelStatus {
    return {
      id: this.#spec.id,
      engine: 'llama',
      makes: this.#spec.embedding ? 'vectors' : 'text',
      state: this.#lives.state,
      contextSize: this.#spec.contextSize,
      maxOutputTokens: this.#spec.maxOutputTokens,
      digest: this.#spec.sha256,
      ...besideOf(this.#spec, this.#measured, this.#turnstile.busy),
      templateDigest: this.#spec.embedding ? null : this.#templateDigest,
      slots: placesOf(this.#spec),
      busy: this.#turnstile.busy,
      queued: this.#turnstile.queued,
      pid: this.#lives.pid,
      restarts: this.#lives.deaths,
      progress: this.#lives.progress,
      quarantine: quarantineOf(this.#spec, this.#deps.files)?.reason ?? null,
      ...this.#lives.runsOn,
      memory: this.#lives.memory,
    };
  }

  measurements(): LlamaMeasurements {
    return this.#measured;
  }

  async load(): Promise<void> {
    if (this.#lives.state === 'ready') return;
    this.#loading ??= Promise.withResolvers();
    const { promise } = this.#loading;
    if (this.#lives.state !== 'loading') {
      this.#failure = null;
      this.#measured = NOTHING_MEASURED;
      this.#watch ??= setInterval(() => this.#checkDeadlines(), WATCH_MS).unref();
      this.#lives.start();
    }
    return promise;
  }

  pardon(): void {
    for (const sha256 of [this.#spec.sha256, trialDigest(this.#spec)]) this.#deps.files.pardon(sha256);
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    this.#watch = undefined;
    const stopped = this.#lives.stop();
    this.#turnstile.close();
    this.#running.endAll(ended());
    this.#turnstile.refuseAll(notLoaded());
    this.#settleLoad(notLoaded());
    await stopped;
  }

  async *generate(request: GenerationRequest, signal: AbortSignal, take: Take): AsyncGenerator<Milestone, void> {
    signal.throwIfAborted();
    this.#assertServing();
    if (this.#spec.embedding) throw makesNoText();
    refuseHugePrompt(request, this.#spec.contextSize);
    const message = generateMessage(request);

    const maxTokens = request.maxTokens ?? this.#spec.maxOutputTokens;
    const events = this.#work<GenerationEvent, ReturnType<typeof makingOf>>(request, maxTokens, signal, {
      making: (queuedMs) => makingOf(request, this.#build, queuedMs),
      message: (id, making) => message(id, maxTokens, making),
    });
    for await (const event of events) {
      if (event.type !== 'delta') yield event;
      else if (!(await take(event))) return;
    }
  }

  async *embed(request: EmbeddingRequest, signal: AbortSignal): AsyncGenerator<EmbeddingEvent, void, undefined> {
    signal.throwIfAborted();
    this.#assertServing();
    if (!this.#spec.embedding) throw makesNoVectors();
    refuseHugeInputs(request, this.#spec.contextSize);
    yield* this.#work<EmbeddingEvent, Making>(request, 0, signal, {
      making: (queuedMs) => unsampled(this.#build, queuedMs),
      message: (id) => ({
        t: 'embed',
        id,
        subject: request.subject,
        inputs: [...request.inputs],
        credit: request.credit.total,
      }),
    });
  }

  /** Waits for a slot, hands the work to the child, and gives what comes of it. `most`: tokens of the longest answer. */
  async *#work<E extends WorkEvent, M extends Making>(
    request: GenerationRequest | EmbeddingRequest,
    most: number,
    signal: AbortSignal,
    work: { making(queuedMs: number): M; message(id: number, making: M): ParentMessage },
  ): AsyncGenerator<E, void, undefined> {
    const askedAt = this.#now();
    const leave = await this.#turnstile.enter(request.subject, signal, request.priority);
    const lives = this.#lives;
    if (lives.state !== 'ready') {
      leave();
      throw this.#failure ?? ended();
    }
    const making = work.making(this.#now() - askedAt);
    const cost = {
      credit: request.credit,
      most,
      send: (message: CreditNews) => lives.send(message),
      now: () => this.#now(),
    };
    const { id, channel } = this.#running.open(leave, this.#now(), cost, making);
    const cancel = () => {
      if (this.#running.abandon(id, this.#now())) lives.send({ t: 'cancel', id });
    };
    // At once, not when the reader comes back: he may be waiting for his own client.
    const abort = () => {
      channel.abort(signal.reason);
      cancel();
    };
    signal.addEventListener('abort', abort, { once: true });
    lives.send(work.message(id, making));
    try {
      // What comes is of the sort that was asked for: the child holds a model for the one or for the other.
      yield* channel.read() as AsyncGenerator<E, void, undefined>;
    } finally {
      signal.removeEventListener('abort', abort);
      // Left early, by abort or by `return()`: the slot is free when the child says so.
      cancel();
    }
  }

  #assertServing(): void {
    if (this.#lives.state === 'unloaded') throw notLoaded();
    if (this.#lives.state === 'failed') throw this.#failure ?? ended();
  }

  #receive(message: ChildMessage): void {
    const running = this.#running;
    const now = this.#now();
    switch (message.t) {
      case 'deltas':
        for (const [id, text, tokens, detail] of message.items)
          running.deliver(
            id,
            detail ? { type: 'delta', text, tokens, ...detail } : { type: 'delta', text, tokens },
            now,
          );
        return;
      case 'started':
        running.begin(message.id, message, this.#spec.contextSize, now);
        return;
      case 'vector':
        running.tookTurn(now);
        running.deliver(message.id, vectorOf(message), now);
        return;
      case 'starved':
        running.starved(message.id);
        return;
      case 'finished':
        running.deliver(message.id, { type: 'finished', reason: message.reason, usage: message.usage }, now);
        running.end(message.id);
        return;
      case 'failed':
        running.end(message.id, childRefusal(message));
        return;
      case 'cancelled':
        running.end(message.id);
        return;
      case 'beat':
        this.#measured = pickMeasurements(message);
        return;
      default:
    }
  }

  #settleLoad(failure: Problem | null): void {
    const loading = this.#loading;
    this.#loading = null;
    if (failure === null) loading?.resolve();
    else loading?.reject(failure);
  }

  #checkDeadlines(): void {
    const missed = this.#running.overdue(this.#now(), this.#limits);
    if (missed !== null) this.#lives.kill(`generation exceeded ${missed}`);
  }

  #now(): number {
    return this.#deps.clock.monotonic();
  }
}
