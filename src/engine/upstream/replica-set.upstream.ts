import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { engineFailed } from '#engine/refusal.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type Stop, UpstreamError } from './answer.upstream.ts';
import type { UpstreamLimits } from './http-client.upstream.ts';
import { type Exchange, Replica } from './replica.upstream.ts';
import { choose } from './replica-choice.ts';
import { busyProblem, retryAfterMs } from './upstream-refusal.ts';
import type { UpstreamCall } from './wire.upstream.ts';

export interface ReplicaSetDeps {
  readonly limits: UpstreamLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls back after so many milliseconds; the result takes the call back. */
  readonly after: (milliseconds: number, call: () => void) => () => void;
  /** From 0 to 1. */
  readonly random: () => number;
  /** No server is left, or one is there again. */
  readonly onAvailable: (isAvailable: boolean, how: string) => void;
}

/** Whose question it is, and how it wants to be answered. */
export interface Asker {
  readonly subject: string;
  /** Of its conversation; null where any server is as good. */
  readonly affinity: number | null;
  /** Not streamed. */
  readonly whole: boolean;
}

/** Who said 429 or 503 and not for how long is asked nothing for so long, where there are others. */
const SHORT_REST_MS = 1000;
/** Of one that has ended a question without an answer; vLLM says 500 to newcomers while its last answers end, and health to probes. */
const ENDED: ReadonlySet<number> = new Set([500, 502]);
/** Not in step with the other gateways: from 0.8 to 1.2 of the interval. */
const jitter = (random: number): number => 0.8 + 0.4 * random;

/**
 * The servers behind one model: which of them answers a question, and which must not be asked now.
 *
 * A question is sent to another server only where nothing can have been computed of it (no connection; 429, 503, 401 and
 * 404), or, once, where nothing of it runs any more: the connection broke before a byte of the answer came, or the server said
 * 500 or 502. After a timeout it is not.
 */
export class ReplicaSet {
  readonly replicas: readonly Replica[];
  readonly #spec: UpstreamModelSpec;
  readonly #deps: ReplicaSetDeps;
  readonly #timers = new Map<Replica, () => void>();
  #candidates: Replica[] = [];
  #turn = 0;
  #isClosed = false;
  #isAvailable = true;

  constructor(spec: UpstreamModelSpec, deps: ReplicaSetDeps) {
    this.#spec = spec;
    this.#deps = deps;
    const { limits, clock } = deps;
    const now = () => clock.monotonic();
    this.replicas = spec.urls.map((url, at) => {
      const replica: Replica = new Replica(
        url,
        { ...spec, name: spec.names?.[at] },
        { limits, now, changed: () => this.#look(replica) },
      );
      return replica;
    });
  }

  /** Whether a question would be sent anywhere; one that is under way on trial counts. */
  get isAvailable(): boolean {
    return this.replicas.some(({ state }) => state !== 'open');
  }

  /** Looks at every server now, and from then on again and again. Resolves when one is there, or none is. */
  async open(): Promise<void> {
    const found = this.replicas.map(async (replica) => {
      if (!(await this.#probe(replica))) throw new UpstreamError('not there');
    });
    await Promise.any(found).catch(() => undefined);
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#timers.values()) cancel();
    for (const { client } of this.replicas) client.close();
  }

  /**
   * Sends a question and waits for the head of the answer, whatever its status.
   *
   * @throws UpstreamError; Problem `overloaded` or `engine_failed` with `retryAfter` where none can be asked; the reason of `stop`
   */
  async send(call: UpstreamCall, asker: Asker, stop: Stop): Promise<Exchange> {
    const tried = new Set<Replica>();
    let isResent = false;
    let isKeyRead = false;
    let areCertificatesRead = false;
    let last: unknown = null;
    for (;;) {
      const replica = this.#choose(asker.affinity, tried);
      if (replica === null) throw last ?? this.#unavailable();
      if (last !== null) replica.takenOver++;
      const exchange = replica.begin(call.path, call.body, asker);
      stop.hold(exchange.answer);
      try {
        await exchange.answer.head();
      } catch (error) {
        const fate = error instanceof UpstreamError ? error.fate : 'begun';
        if (stop.isStopped) exchange.abandoned();
        else exchange.failed(fate === 'begun' ? 'answered' : 'unreachable');
        stop.check();
        if (fate === 'begun' || (fate === 'unanswered' && isResent)) throw error;
        this.#warn(replica, error);
        last = error;
        // Certificates were replaced a moment ago, here or there: that may be why.
        const areNew = !areCertificatesRead && (await this.#spec.tls?.reload()) === true;
        areCertificatesRead = true;
        stop.check();
        if (areNew && fate === 'unsent') continue;
        if (fate === 'unsent') tried.add(replica);
        else {
          isResent = true;
          // It may have closed an idle connection just as we took it: where there is no other, it is asked again.
          if (this.replicas.length > 1) tried.add(replica);
        }
        continue;
      }
      const { answer } = exchange;
      if (answer.status === 429 || answer.status === 503) {
        const restMs = retryAfterMs(answer.headers['retry-after'], this.#deps.clock.now());
        replica.rest(restMs ?? (this.replicas.length > 1 ? SHORT_REST_MS : 0));
        exchange.abandoned();
        last = busyProblem(restMs, answer.status);
      } else if (answer.status === 401 || answer.status === 404) {
        // A path that it does not have may be the caller's choice; a key that it does not know is nobody's.
        if (answer.status === 401) exchange.unfit();
        else exchange.abandoned();
        const what = answer.status === 401 ? 'takes our key for none (401)' : 'has no such model or route (404)';
        last = new UpstreamError(`the server ${what}`, { status: answer.status });
        this.#warn(replica, last);
      } else if (ENDED.has(answer.status) && !isResent && this.replicas.length > 1) {
        isResent = true;
        exchange.failed('answered');
        last = new UpstreamError(`the server answered ${answer.status}`, { status: answer.status });
        this.#warn(replica, last);
      } else return exchange;
      answer.leave();
      // Its key was replaced a moment ago: that is why.
      const isNewKey = answer.status === 401 && !isKeyRead && (await this.#spec.apiKey?.reload()) === true;
      isKeyRead ||= answer.status === 401;
      if (!isNewKey) tried.add(replica);
      stop.check();
    }
  }

  #choose(affinity: number | null, tried: ReadonlySet<Replica>): Replica | null {
    const { replicas } = this;
    const [only] = replicas;
    if (replicas.length === 1 && only !== undefined) {
      return only.circuit.admits && !only.resting && !tried.has(only) ? only : null;
    }
    const candidates = this.#candidates;
    candidates.length = 0;
    for (const replica of replicas) {
      if (replica.circuit.admits && !replica.resting && !tried.has(replica)) candidates.push(replica);
    }
    this.#turn = (this.#turn + 1) % 0x3fffffff;
    const at = choose(candidates, this.#spec.routing === 'least_busy' ? null : affinity, this.#turn);
    return candidates[at] ?? null;
  }

  /** Says why nobody can be asked, and when to come back. */
  #unavailable(): Problem {
    const resting = this.replicas.filter(({ circuit, resting }) => circuit.admits && resting);
    if (resting.length > 0) return busyProblem(Math.min(...resting.map(({ restMs }) => restMs)), null);
    const waitMs = Math.min(...this.replicas.map(({ circuit }) => circuit.waitMs));
    const cause = new UpstreamError('no server can be asked');
    const { detail } = engineFailed('The model server can not be reached. Try again later.');
    return new Problem('engine_failed', { ...detail, retryAfter: Math.max(1, Math.ceil(waitMs / 1000)) }, cause);
  }

  /** Whether it is there. Never rejects. */
  async #probe(replica: Replica): Promise<boolean> {
    this.#timers.get(replica)?.();
    await Promise.all([this.#spec.apiKey?.reload(), this.#spec.tls?.reload()]);
    const before = replica.state;
    const failure = await replica.probe();
    if (this.#isClosed) return false;
    if (failure !== null && before === 'closed') this.#warn(replica, failure);
    const wait = Math.round(this.#deps.limits.probeMs * jitter(this.#deps.random()));
    this.#timers.set(
      replica,
      this.#deps.after(wait, () => void this.#probe(replica)),
    );
    return failure === null;
  }

  /** A circuit opened or closed. */
  #look({ name, state }: Replica): void {
    if (this.#isClosed) return;
    const count = this.replicas.filter((replica) => replica.state === 'closed').length;
    const what = state === 'closed' ? 'a model server is asked again' : 'a model server is not asked any more';
    this.#deps.log.warn(what, { model: this.#spec.id, address: name, state, count });
    const isAvailable = count > 0;
    if (isAvailable === this.#isAvailable) return;
    this.#isAvailable = isAvailable;
    this.#deps.onAvailable(isAvailable, `${count} of ${this.replicas.length} servers`);
  }

  #warn({ name, state }: Replica, error: unknown): void {
    this.#deps.log.warn('model server failed', { model: this.#spec.id, address: name, state, error });
  }
}
