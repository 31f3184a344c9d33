import { Problem } from '#kernel/problem.ts';
import type { Residence, Room, Tenant } from './memory-plan.ts';
import type { DesiredState } from './model-state.ts';

interface Waiter {
  readonly since: number;
  readonly enter: () => void;
  readonly refuse: (reason: unknown) => void;
}

export interface EntryRules {
  readonly now: () => number;
  readonly maxWaitMs: number;
  readonly maxWaiting: number;
}

/** One model's state in memory, and the door in front of it. */
export class Occupant {
  readonly id: string;
  residence: Residence = 'away';
  called: Tenant['called'] = 'no';
  /** Null until the file's header was read. */
  estimate: Room | null = null;
  /** The last time it ran. */
  measured: Room | null = null;
  failure: Problem | null = null;
  /** While it goes out of service: when the answers under way are cut off. */
  drainUntil: number | null = null;
  answering = 0;
  #waiters: Waiter[] = [];
  #isOpen = true;
  #lastUsed = 0;
  #hereSince = 0;

  constructor(id: string) {
    this.id = id;
  }

  get needs(): Room {
    return this.measured ?? this.estimate ?? { ram: 0, vram: 0 };
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Somebody waits for it, or has called it. */
  get isWanted(): boolean {
    return this.#waiters.length > 0 || this.called !== 'no';
  }

  tenant({ inService, pinned }: DesiredState): Tenant {
    const { id, residence, needs, answering, waiting, called } = this;
    const waitingSince = this.#waiters[0]?.since ?? 0;
    return {
      ...{ id, residence, needs, inService, pinned, answering, waiting, waitingSince },
      ...{
        called: pinned && residence === 'away' ? 'room' : called,
        lastUsed: this.#lastUsed,
        hereSince: this.#hereSince,
      },
    };
  }

  arrived(now: number): void {
    this.residence = 'here';
    this.#hereSince = this.#lastUsed = now;
    this.#admit(now);
  }

  setDoor(door: 'open' | 'closed', now: number): void {
    this.#isOpen = door === 'open';
    this.#admit(now);
  }

  /** Turns everybody away who waits. */
  refuse(reason: Problem): void {
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(reason);
  }

  /**
   * Waits until the model is in memory and its door open. The result leaves; calling it twice does no harm.
   *
   * @throws Problem `model_loading` or `overloaded` with `retryAfter`; `signal.reason` on abort
   */
  async enter(signal: AbortSignal, rules: EntryRules): Promise<() => void> {
    if (this.residence === 'here' && this.#isOpen) this.#begin(rules.now());
    else await this.#wait(signal, rules);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.answering--;
      this.#lastUsed = rules.now();
    };
  }

  #begin(now: number): void {
    this.answering++;
    this.#lastUsed = now;
  }

  #admit(now: number): void {
    if (this.residence !== 'here' || !this.#isOpen) return;
    for (const waiter of this.#waiters.splice(0)) {
      // Counted before the waiter runs on: nobody may see an idle model in between.
      this.#begin(now);
      waiter.enter();
    }
  }

  #wait(signal: AbortSignal, { now, maxWaitMs, maxWaiting }: EntryRules): Promise<void> {
    if (this.waiting >= maxWaiting)
      throw new Problem('overloaded', { message: 'Too many wait for this model. Try again later.', retryAfter: 10 });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { since: now(), enter: resolve, refuse: reject };
    const withdraw = (reason: unknown) => {
      const at = this.#waiters.indexOf(waiter);
      if (at < 0) return;
      this.#waiters.splice(at, 1);
      reject(reason);
    };
    const timer = setTimeout(() => withdraw(stillLoading()), maxWaitMs);
    const abort = () => withdraw(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#waiters.push(waiter);
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    });
  }
}

const stillLoading = (): Problem =>
  new Problem('model_loading', { message: 'The model has to be loaded first. Try again later.', retryAfter: 5 });
