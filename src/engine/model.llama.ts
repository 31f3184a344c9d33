import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import type { Engine, GenerationEvent, GenerationRequest, ModelState, ModelStatus } from './engine.ts';
import { type CreditNews, GenerationTable } from './generation-table.ts';
import { grammarFor } from './json-grammar.ts';
import { makingOf } from './making.ts';
import { type LlamaModelSpec, specFaults, templateDigest } from './model-spec.ts';
import { EngineProcess, LLAMA_LIMITS, type LlamaLimits, LOAD_FAILURES } from './process.llama.ts';
import type { ChildMessage } from './protocol.contract.ts';
import { childRefusal, ended, engineFailed, notLoaded, refuseHugePrompt } from './refusal.ts';
import { RestartPolicy } from './restart-policy.ts';
import { Turnstile } from './turnstile.ts';

export interface LlamaDeps {
  readonly log: Log;
  readonly clock: Clock;
  /** The child gets a few named variables of it (where libraries and GPUs are), nothing else. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Puts a sandbox in front of the child's command line, such as bubblewrap. It must pass on file descriptor 3. */
  readonly launcher?: (command: readonly string[]) => readonly string[];
  readonly limits?: Partial<LlamaLimits>;
}

/** What the engine did since its child started; for metrics. */
export interface LlamaMeasurements {
  /** Rounds of the lock-step driver. */
  readonly steps: number;
  readonly batches: number;
  /** Sum over all batches of the sequences in them. */
  readonly sequences: number;
  readonly largestBatch: number;
}

export interface LlamaEngine extends Engine {
  /** At most a second old. */
  measurements(): LlamaMeasurements;
}

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
  readonly #restarts = new RestartPolicy();
  readonly #running = new GenerationTable();
  #build: string | null = null;
  #state: ModelState = 'unloaded';
  #process: EngineProcess | null = null;
  #loading: PromiseWithResolvers<void> | null = null;
  #failure: Problem | null = null;
  #restart: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #measured: LlamaMeasurements = { steps: 0, batches: 0, sequences: 0, largestBatch: 0 };

  constructor(spec: LlamaModelSpec, deps: LlamaDeps) {
    this.#spec = spec;
    this.#deps = deps;
    this.#limits = { ...LLAMA_LIMITS, ...deps.limits };
    this.#templateDigest = templateDigest(spec);
    this.#turnstile = new Turnstile({
      slots: spec.parallel,
      maxQueue: this.#limits.maxQueue,
      maxWaitMs: this.#limits.maxWaitMs,
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
      state: this.#state,
      contextSize: this.#spec.contextSize,
      maxOutputTokens: this.#spec.maxOutputTokens,
      digest: this.#spec.sha256,
      templateDigest: this.#templateDigest,
      slots: this.#spec.parallel,
      busy: this.#turnstile.busy,
      queued: this.#turnstile.queued,
      pid: this.#process?.pid ?? null,
      restarts: this.#restarts.deaths,
    };
  }

  measurements(): LlamaMeasurements {
    return this.#measured;
  }

  async load(): Promise<void> {
    if (this.#state === 'ready') return;
    if (this.#state !== 'loading') {
      this.#state = 'loading';
      this.#failure = null;
      this.#restarts.forgive();
      this.#start();
    }
    this.#loading ??= Promise.withResolvers();
    return this.#loading.promise;
  }

  async close(): Promise<void> {
    clearTimeout(this.#restart);
    clearInterval(this.#watch);
    this.#watch = undefined;
    const process = this.#process;
    this.#process = null;
    this.#state = 'unloaded';
    this.#turnstile.close();
    this.#running.endAll(ended());
    this.#turnstile.refuseAll(notLoaded());
    this.#settleLoad(notLoaded());
    await process?.kill('closed');
  }

  async *generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    signal.throwIfAborted();
    this.#assertServing();
    const stop = request.stop ?? [];
    if (stop.some((text) => !text.isWellFormed())) throw new Problem('invalid_parameter', { param: 'stop' });
    refuseHugePrompt(request, this.#spec.contextSize);
    const grammar = grammarFor(request.responseFormat);

    const askedAt = this.#now();
    const leave = await this.#turnstile.enter(request.subject, signal);
    const process = this.#process;
    if (process === null || this.#state !== 'ready') {
      leave();
      throw this.#failure ?? ended();
    }
    const making = makingOf(request, this.#build, this.#now() - askedAt);
    const most = request.maxTokens ?? this.#spec.maxOutputTokens;
    const cost = {
      credit: request.credit,
      most,
      send: (message: CreditNews) => process.send(message),
      now: () => this.#now(),
    };
    const { id, channel } = this.#running.open(leave, this.#now(), cost, making);
    const cancel = () => {
      if (this.#running.abandon(id, this.#now())) process.send({ t: 'cancel', id });
    };
    // At once, not when the reader comes back: he may be waiting for his own client.
    const abort = () => {
      channel.abort(signal.reason);
      cancel();
    };
    signal.addEventListener('abort', abort, { once: true });
    process.send({
      t: 'generate',
      id,
      subject: request.subject,
      messages: request.messages.map(({ role, content }) => ({ role, content })),
      maxTokens: most,
      temperature: making.temperature,
      topP: making.topP,
      seed: making.seed,
      stop: [...stop],
      grammar,
      stream: request.stream,
      credit: request.credit.total,
    });
    try {
      yield* channel.read();
    } finally {
      signal.removeEventListener('abort', abort);
      // Left early, by abort or by `return()`: the slot is free when the child says so.
      cancel();
    }
  }

  #assertServing(): void {
    if (this.#state === 'unloaded') throw notLoaded();
    if (this.#state === 'failed') throw this.#failure ?? ended();
  }

  #start(): void {
    this.#measured = { steps: 0, batches: 0, sequences: 0, largestBatch: 0 };
    const process: EngineProcess = new EngineProcess({
      spec: this.#spec,
      limits: this.#limits,
      clock: this.#deps.clock,
      log: this.#deps.log,
      environment: this.#deps.environment ?? {},
      launcher: this.#deps.launcher ?? ((command) => command),
      onMessage: (message) => {
        if (this.#process === process) this.#receive(message);
      },
      onExit: () => {
        if (this.#process === process) this.#died(process);
      },
    });
    this.#process = process;
    this.#watch ??= setInterval(() => this.#checkDeadlines(), WATCH_MS).unref();
  }

  #receive(message: ChildMessage): void {
    const running = this.#running;
    const now = this.#now();
    switch (message.t) {
      case 'deltas':
        for (const [id, text, tokens] of message.items) running.deliver(id, { type: 'delta', text, tokens }, now);
        return;
      case 'started':
        running.begin(message.id, message.promptTokens, this.#spec.contextSize, now);
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
        this.#measured = message;
        return;
      case 'ready':
        this.#deps.log.info('model is ready', { model: this.#spec.id, state: message.backend });
        this.#build = message.build === undefined ? null : `llama.cpp ${message.build} ${message.backend}`;
        this.#state = 'ready';
        this.#turnstile.open();
        this.#settleLoad(null);
        return;
      case 'load_failed':
        this.#giveUp(`Model '${this.#spec.id}' can not be loaded: ${LOAD_FAILURES[message.reason]}.`, message.detail);
        return;
      case 'verified':
    }
  }

  #died(process: EngineProcess): void {
    this.#process = null;
    this.#turnstile.close();
    this.#running.endAll(ended());
    const delay = this.#restarts.died(process.readyFor());
    if (process.timedOut) {
      this.#giveUp(`Model '${this.#spec.id}' can not be loaded in time.`, undefined);
      return;
    }
    if (delay === null) {
      this.#giveUp(`Model '${this.#spec.id}' is out of service: its engine died again and again.`, undefined);
      return;
    }
    this.#state = 'loading';
    this.#restart = setTimeout(() => this.#start(), delay);
  }

  /** Stays as it is until somebody calls `load` again. */
  #giveUp(message: string, cause: unknown): void {
    this.#deps.log.error(message, { model: this.#spec.id, ...(cause === undefined ? {} : { error: cause }) });
    const failure = engineFailed(message, cause);
    const process = this.#process;
    this.#process = null;
    this.#state = 'failed';
    this.#failure = failure;
    void process?.kill('load failed');
    this.#turnstile.refuseAll(failure);
    this.#settleLoad(failure);
  }

  #settleLoad(failure: Problem | null): void {
    const loading = this.#loading;
    this.#loading = null;
    if (failure === null) loading?.resolve();
    else loading?.reject(failure);
  }

  #checkDeadlines(): void {
    const missed = this.#running.overdue(this.#now(), this.#limits);
    if (missed !== null) void this.#process?.kill(`generation exceeded ${missed}`);
  }

  #now(): number {
    return this.#deps.clock.monotonic();
  }
}
