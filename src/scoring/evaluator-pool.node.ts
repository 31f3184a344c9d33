import { Problem } from '#kernel/problem.ts';
import type { Evaluated, Evaluation, Evaluators } from './evaluation.ts';
import { EvaluatorProcess, type ProcessLimits } from './evaluator-process.node.ts';

export interface PoolLimits extends ProcessLimits {
  /** Processes at once. */
  readonly processes: number;
  /** Evaluations that may wait, of everybody and of one tenant. */
  readonly maxQueue: number;
  readonly maxQueuePerTenant: number;
  /** A process that nobody has used for so long is ended. */
  readonly idleMs: number;
}

export const POOL_LIMITS: PoolLimits = {
  processes: 2,
  maxQueue: 64,
  maxQueuePerTenant: 8,
  idleMs: 60_000,
  startMs: 20_000,
  evaluateMs: 30_000,
  memoryBytes: 1024 ** 3,
};

interface Seat {
  readonly process: EvaluatorProcess;
  /** Whom it has served; null while it is fresh. */
  tenant: string | null;
  busy: boolean;
  idle: NodeJS.Timeout | null;
}

interface Waiting {
  readonly tenant: string;
  readonly start: (seat: Seat) => void;
}

/**
 * A few expendable processes. A process that has served somebody never serves somebody else: what a ciphertext
 * may have done to it stays his. When all seats are taken the longest unused one is given up for whoever waits.
 */
export class EvaluatorPool implements Evaluators, Disposable {
  readonly #limits: PoolLimits;
  readonly #seats = new Set<Seat>();
  readonly #waiting: Waiting[] = [];
  #closed = false;

  constructor(limits: PoolLimits = POOL_LIMITS) {
    this.#limits = limits;
  }

  /** Has a process ready before the first customer comes. */
  warm(): void {
    if (this.#seats.size === 0) this.#open();
  }

  /** For the operator: process ids by state. */
  pids(): number[] {
    return [...this.#seats].flatMap(({ process }) => process.pid ?? []);
  }

  async evaluate(tenant: string, evaluation: Evaluation, signal: AbortSignal): Promise<Evaluated> {
    const seat = await this.#seat(tenant, signal);
    try {
      return await seat.process.evaluate(evaluation);
    } finally {
      this.#free(seat);
    }
  }

  #seat(tenant: string, signal: AbortSignal): Promise<Seat> {
    signal.throwIfAborted();
    const free = this.#take(tenant);
    if (free !== null) return Promise.resolve(free);
    const own = this.#waiting.filter((waiting) => waiting.tenant === tenant).length;
    if (this.#waiting.length >= this.#limits.maxQueue || own >= this.#limits.maxQueuePerTenant) {
      throw new Problem('overloaded', { retryAfter: 1 });
    }
    const { promise, resolve, reject } = Promise.withResolvers<Seat>();
    const waiting: Waiting = {
      tenant,
      start: (seat) => {
        signal.removeEventListener('abort', leave);
        resolve(seat);
      },
    };
    const leave = () => {
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#waiting.push(waiting);
    return promise;
  }

  /** A seat of his own, a fresh one, a new one, or one that somebody else has not used for longest. */
  #take(tenant: string): Seat | null {
    const idle = [...this.#seats].filter(({ busy, process }) => !busy && !process.gone);
    let seat = idle.find((one) => one.tenant === tenant) ?? idle.find((one) => one.tenant === null) ?? null;
    if (seat === null && this.#seats.size >= this.#limits.processes) {
      const [oldest] = idle;
      if (oldest === undefined) return null;
      this.#drop(oldest, 'its place is needed');
    }
    seat ??= this.#open();
    if (seat.idle !== null) clearTimeout(seat.idle);
    seat.busy = true;
    seat.tenant = tenant;
    return seat;
  }

  #open(): Seat {
    const seat: Seat = {
      process: new EvaluatorProcess(this.#limits, () => {
        this.#seats.delete(seat);
        this.#serveNext();
      }),
      tenant: null,
      busy: false,
      idle: null,
    };
    this.#seats.add(seat);
    return seat;
  }

  #drop(seat: Seat, why: string): void {
    this.#seats.delete(seat);
    seat.process.kill(why);
  }

  #free(seat: Seat): void {
    seat.busy = false;
    if (seat.process.gone || this.#closed) return;
    // Last in the order of use.
    this.#seats.delete(seat);
    this.#seats.add(seat);
    seat.idle = setTimeout(() => this.#drop(seat, 'idle'), this.#limits.idleMs);
    seat.idle.unref();
    this.#serveNext();
  }

  #serveNext(): void {
    if (this.#closed) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const seat = this.#take(next.tenant);
    if (seat === null) return;
    this.#waiting.shift();
    next.start(seat);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const seat of this.#seats) {
      if (seat.idle !== null) clearTimeout(seat.idle);
      this.#drop(seat, 'the gateway stops');
    }
  }
}
