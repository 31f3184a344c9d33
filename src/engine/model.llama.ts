import { randomInt } from 'node:crypto';
import { Problem } from '#kernel/problem.ts';
import type { GenerationEvent, GenerationRequest, ModelState, ModelStatus } from './engine.ts';
import { GenerationTable } from './generation-table.ts';
import { grammarFor } from './json-grammar.ts';
import { type LlamaModelSpec, specFaults, templateDigest } from './model-spec.ts';
import type { LlamaDeps, LlamaEngine, LlamaMeasurements } from './port.llama.ts';
import { EngineProcess, LLAMA_LIMITS, type LlamaLimits, LOAD_FAILURES } from './process.llama.ts';
import type { ChildMessage } from './protocol.contract.ts';
import { engineFailed, notLoaded, refuseHugePrompt } from './refusal.ts';
import { RestartPolicy } from './restart-policy.ts';
import { Turnstile } from './turnstile.ts';

/** Opens a model that runs under llama.cpp in a child process of its own. Nothing is loaded before `load()`. */
export function openLlamaModel(spec: LlamaModelSpec, deps: LlamaDeps): LlamaEngine {
  const faults = specFaults(spec);
  if (faults.length > 0) throw new Error(`model '${spec.id}': ${faults.join('; ')}`);
  return new ChildEngine(spec, deps);
}

/** Where the caller does not say; a model's own habits are not read from its file. */
const TEMPERATURE = 0.7;
const TOP_P = 0.95;
const WATCH_MS = 250;

class ChildEngine implements LlamaEngine {
  readonly #spec: LlamaModelSpec;
  readonly #deps: LlamaDeps;
  readonly #limits: LlamaLimits;
  readonly #templateDigest: string;
  readonly #turnstile: Turnstile;
  readonly #restarts = new RestartPolicy();
  readonly #running = new GenerationTable();
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
    this.#loading ??= Promise.withResolvers();
    const { promise } = this.#loading;
    if (this.#state !== 'loading') {
      this.#state = 'loading';
      this.#failure = null;
      this.#restarts.forgive();
      this.#start();
    }
    return promise;
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

    const leave = await this.#turnstile.enter(request.subject, signal);
    const process = this.#process;
    if (process === null || this.#state !== 'ready') {
      leave();
      throw this.#failure ?? ended();
    }
    const { id, channel } = this.#running.open(leave, this.#now());
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
      maxTokens: request.maxTokens ?? this.#spec.maxOutputTokens,
      temperature: request.temperature ?? TEMPERATURE,
      topP: request.topP ?? TOP_P,
      seed: request.seed ?? randomInt(2 ** 32),
      stop: [...stop],
      grammar,
      stream: request.stream,
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
    const process = this.#open();
    if (process === null) return;
    this.#process = process;
    this.#watch ??= setInterval(() => this.#checkDeadlines(), WATCH_MS).unref();
  }

  /** Null where there is no file to hand over; that is then the failure. */
  #open(): EngineProcess | null {
    let process: EngineProcess;
    try {
      process = new EngineProcess({
        spec: this.#spec,
        limits: this.#limits,
        clock: this.#deps.clock,
        log: this.#deps.log,
        sandbox: this.#deps.sandbox,
        onMessage: (message) => {
          if (this.#process === process) this.#receive(message);
        },
        onExit: () => {
          if (this.#process === process) this.#died(process);
        },
      });
    } catch (error) {
      this.#giveUp(`Model '${this.#spec.id}' can not be loaded: ${LOAD_FAILURES.unreadable}.`, error);
      return null;
    }
    return process;
  }

  #receive(message: ChildMessage): void {
    const running = this.#running;
    const now = this.#now();
    switch (message.t) {
      case 'deltas':
        for (const [id, text, tokens] of message.items) running.deliver(id, { type: 'delta', text, tokens }, now);
        return;
      case 'started':
        running.deliver(message.id, { type: 'started', promptTokens: message.promptTokens }, now);
        return;
      case 'finished':
        running.deliver(message.id, { type: 'finished', reason: message.reason, usage: message.usage }, now);
        running.end(message.id);
        return;
      case 'failed':
        running.end(message.id, refusal(message));
        return;
      case 'cancelled':
        running.end(message.id);
        return;
      case 'beat':
        this.#measured = pickMeasurements(message);
        return;
      case 'ready':
        this.#deps.log.info('model is ready', { model: this.#spec.id, state: message.backend });
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

function refusal(message: Extract<ChildMessage, { t: 'failed' }>): Problem {
  return new Problem(message.code, {
    message: message.message,
    ...(message.code === 'engine_failed' ? {} : { param: 'messages' }),
  });
}

const pickMeasurements = ({ steps, batches, sequences, largestBatch }: LlamaMeasurements): LlamaMeasurements => ({
  steps,
  batches,
  sequences,
  largestBatch,
});

const ended = (): Problem => engineFailed('The engine ended before the answer was complete. Try again.');
