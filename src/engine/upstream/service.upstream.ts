import type { EmbeddingRequest, GenerationRequest, ModelState, ModelStatus } from '#engine/engine.ts';
import type { EngineEvent } from '#engine/engine-event.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { engineFailed, notLoaded } from '#engine/refusal.ts';
import { Turnstile } from '#engine/turnstile.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { Roster } from '#kernel/roster.ts';
import { UpstreamError } from './answer.upstream.ts';
import { UPSTREAM_LIMITS, type UpstreamLimits } from './http-client.upstream.ts';
import type { Exchange } from './replica.upstream.ts';
import { type Asker, ReplicaSet } from './replica-set.upstream.ts';
import { AnswerTally } from './tally.upstream.ts';
import { Visit } from './visit.upstream.ts';
import type { UpstreamCall } from './wire.upstream.ts';

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

const SLOTS = 256;

const systemAfter = (milliseconds: number, call: () => void): (() => void) => {
  const timer = setTimeout(call, milliseconds);
  timer.unref();
  return () => clearTimeout(timer);
};

/** An upstream model in service or out of it: its servers, the queue in front of them, and who is inside. */
export class UpstreamService {
  /** What its answers are found to be. */
  readonly tally: AnswerTally;
  readonly limits: UpstreamLimits;
  readonly #spec: UpstreamModelSpec;
  readonly #deps: UpstreamDeps;
  readonly #turnstile: Turnstile;
  /** Null while it is not in service. */
  #replicas: ReplicaSet | null = null;
  #opening: Promise<void> | null = null;
  /** Answers under way, to be ended by `close`. */
  readonly #running = new Roster<Visit>();

  constructor(spec: UpstreamModelSpec, deps: UpstreamDeps) {
    this.#spec = spec;
    this.#deps = deps;
    this.limits = { ...UPSTREAM_LIMITS, ...deps.limits };
    this.tally = new AnswerTally(spec, deps);
    this.#turnstile = new Turnstile({
      slots: spec.parallel ?? SLOTS,
      maxQueue: this.limits.maxQueue,
      maxWaitMs: this.limits.maxQueueMs,
      maxClosedWaitMs: this.limits.maxQueueMs,
      after: systemAfter,
    });
  }

  status(): ModelStatus {
    const { id, contextSize = null, maxOutputTokens, parallel: slots = SLOTS } = this.#spec;
    const { busy, queued } = this.#turnstile;
    const { miscounted, misnamed } = this.tally;
    return {
      id,
      engine: 'upstream',
      makes: this.#spec.embedding ? 'vectors' : 'text',
      state: this.#state,
      contextSize,
      maxOutputTokens,
      digest: null,
      adapter: null,
      draft: null,
      templateDigest: null,
      slots,
      busy,
      queued,
      pid: null,
      restarts: 0,
      progress: null,
      quarantine: null,
      backend: null,
      layers: null,
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
      limits: this.limits,
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

  async close(): Promise<void> {
    const replicas = this.#replicas;
    this.#replicas = null;
    this.#opening = null;
    this.#turnstile.close();
    this.#turnstile.refuseAll(notLoaded());
    for (const { stop } of this.#running.members()) stop.now(failed('closed'));
    replicas?.close();
  }

  /** Not in service: not even the request is looked at. @throws Problem */
  check(): void {
    if (this.#replicas === null) throw notLoaded();
  }

  /** Waits for a place. @throws Problem; `signal.reason` */
  async enter(request: GenerationRequest | EmbeddingRequest, signal: AbortSignal): Promise<Visit> {
    const askedAt = this.#deps.clock.monotonic();
    const leave = await this.#turnstile.enter(request.subject, signal, request.priority);
    const visit = new Visit(signal, Math.round(this.#deps.clock.monotonic() - askedAt), leave);
    visit.depart = this.#running.add(visit);
    return visit;
  }

  /** Sends a question and waits for the head of its answer. @throws as {@link ReplicaSet.send} */
  async send(visit: Visit, call: UpstreamCall, asker: Asker): Promise<Exchange> {
    if (this.#replicas === null) throw notLoaded();
    visit.exchange = await this.#replicas.send(call, asker, visit.stop);
    return visit.exchange;
  }

  leave(visit: Visit): void {
    visit.end(() => failed('left'));
    visit.depart();
  }

  /** What a visit ended with, as its caller is told; in the log where a server failed. */
  failure(visit: Visit, error: unknown): unknown {
    if (visit.isAborted) return visit.reason;
    visit.failed(error);
    if (error instanceof Problem && error.code !== 'engine_failed') return error;
    const problem = error instanceof Problem ? error : failed(error);
    this.#deps.log.warn('model server failed', {
      model: this.#spec.id,
      ...(visit.exchange === null ? {} : { address: visit.exchange.replica.name }),
      error: problem.cause ?? problem,
    });
    return problem;
  }
}

export const failed = (cause: unknown): Problem =>
  engineFailed((cause instanceof UpstreamError && cause.told) || 'The model server failed. Try again.', cause);
