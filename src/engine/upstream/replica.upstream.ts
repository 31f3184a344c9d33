import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import type { ReplicaStatus } from '#engine/upstream-status.ts';
import { type UpstreamAnswer, UpstreamError } from './answer.upstream.ts';
import { Circuit, type CircuitState, type Fault } from './circuit.ts';
import { UpstreamClient, type UpstreamLimits } from './http-client.upstream.ts';
import { type Candidate, seedOf } from './replica-choice.ts';

/** One of the servers behind a model: what is known of it, and the way to it. */
export class Replica implements Candidate, ReplicaStatus {
  readonly name: string;
  readonly seed: number;
  readonly client: UpstreamClient;
  readonly circuit: Circuit;
  busy = 0;
  answers = 0;
  failures = 0;
  takenOver = 0;
  readonly #now: () => number;
  readonly #probePath: string;
  #restUntil = 0;
  #isKnown = false;

  constructor(
    url: string,
    { name, ...spec }: UpstreamModelSpec & { readonly name?: string | undefined },
    { limits, now, changed }: { limits: UpstreamLimits; now: () => number; changed: () => void },
  ) {
    this.client = new UpstreamClient(url, spec, limits);
    this.name = name ?? this.client.name;
    // Of its address: every gateway finds the same one, whatever each calls it.
    this.seed = seedOf(this.client.name);
    this.circuit = new Circuit(limits, now, changed);
    this.#now = now;
    this.#probePath = spec.probePath ?? 'v1/models';
  }

  get state(): CircuitState {
    return this.circuit.state;
  }

  get resting(): boolean {
    return this.restMs > 0;
  }

  /** For how long it asked to be left alone. Milliseconds. */
  get restMs(): number {
    return Math.max(0, this.#restUntil - this.#now());
  }

  rest(milliseconds: number): void {
    this.#restUntil = Math.max(this.#restUntil, this.#now() + milliseconds);
  }

  /** Sends a question there; what becomes of it is told to the exchange. */
  begin(path: string, body: string, { whole, subject }: { whole: boolean; subject: string }): Exchange {
    const isTrial = this.circuit.begin();
    this.busy++;
    return new Exchange(this, this.client.post(path, body, whole), subject, isTrial);
  }

  /** Asks it nothing and sees whether it is there. Returns why not; null where it is. */
  async probe(): Promise<Error | null> {
    const failure = await this.#look();
    this.circuit.probed(failure === null, !this.#isKnown);
    this.#isKnown = true;
    return failure;
  }

  /** Below 500 it is there; that it is the right one shows with a question. A key that it refuses shows at once. */
  async #look(): Promise<Error | null> {
    const answer = this.client.get(this.#probePath);
    try {
      await answer.head();
      answer.leave();
      const { status } = answer;
      return status >= 500 || status === 401 ? new UpstreamError(`probe answered ${status}`, { status }) : null;
    } catch (error) {
      return error instanceof Error ? error : new UpstreamError('probe failed');
    }
  }
}

/** One question to one replica, until it is settled in one way or another. */
export class Exchange {
  readonly answer: UpstreamAnswer;
  readonly replica: Replica;
  readonly #subject: string;
  readonly #isTrial: boolean;
  #isSettled = false;

  constructor(replica: Replica, answer: UpstreamAnswer, subject: string, isTrial: boolean) {
    this.replica = replica;
    this.answer = answer;
    this.#subject = subject;
    this.#isTrial = isTrial;
  }

  /** The answer has begun. */
  answering(): void {
    this.replica.circuit.answering();
  }

  complete(): void {
    if (!this.#settle()) return;
    this.replica.answers++;
    this.replica.circuit.succeeded();
  }

  failed(fault: Fault): void {
    this.#fail(fault, this.#subject);
  }

  /** It answers nobody as it should, whoever asks. */
  unfit(): void {
    this.#fail('answered', null);
  }

  /** It refused for good reason, or nobody waits any more: nothing against the replica. */
  abandoned(): void {
    if (this.#settle()) this.replica.circuit.abandoned(this.#isTrial);
  }

  #fail(fault: Fault, subject: string | null): void {
    if (!this.#settle()) return;
    this.replica.failures++;
    this.replica.circuit.failed(fault, subject);
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.replica.busy--;
    return true;
  }
}
