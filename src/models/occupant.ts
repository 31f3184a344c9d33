import type { Priority } from '#engine/priority.ts';
import { WaitingLine } from '#engine/waiting-line.ts';
import type { Problem } from '#kernel/problem.ts';
import type { Residence, Room, Tenant } from './memory-plan.ts';
import type { DesiredState } from './model-state.ts';
import { stillLoading, tooManyWait } from './refusal.ts';

/** Who asks, and in which of the two lines. */
export interface Asker {
  readonly subject: string;
  readonly priority?: Priority | undefined;
}

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
  /** Its process died and comes again: as little to be evicted as one that comes for the first time. */
  isRestarting = false;
  /** The one who waits longest is the first. */
  readonly #waiters = new Set<Waiter>();
  readonly #line = new WaitingLine<Waiter>();
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
    return this.#waiters.size;
  }

  /** Somebody waits for it, or has called it. */
  get isWanted(): boolean {
    return this.#waiters.size > 0 || this.called !== 'no';
  }

  tenant({ inService, pinned }: DesiredState): Tenant {
    const { id, needs, answering, waiting, called } = this;
    const residence = this.residence === 'here' && this.isRestarting ? 'coming' : this.residence;
    const [first] = this.#waiters;
    const waitingSince = first?.since ?? 0;
    return {
      ...{ id, residence, needs, inService, pinned, answering, waiting, waitingSince },
      ...{
        called: pinned && residence === 'away' ? 'room' : called,
        lastUsed: this.#lastUsed,
        hereSince: this.#hereSince,
      },
    };
  }

  /** Nobody calls who is here: he would be called back at once wherever he was sent. */
  call(how: 'free' | 'room'): void {
    this.called = this.residence === 'here' ? 'no' : how;
  }

  arrived(now: number): void {
    this.residence = 'here';
    this.called = 'no';
    this.#hereSince = this.#lastUsed = now;
    this.#admit(now);
  }

  setDoor(door: 'open' | 'closed', now: number): void {
    this.#isOpen = door === 'open';
    this.#admit(now);
  }

  /** Turns everybody away who waits. */
  refuse(reason: Problem): void {
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) waiter.refuse(reason);
  }

  /**
   * Waits until the model is in memory and its door open. The result leaves; calling it twice does no harm.
   *
   * @throws Problem `model_loading` or `overloaded` with `retryAfter`; `signal.reason` on abort
   */
  async enter(asker: Asker, signal: AbortSignal, rules: EntryRules): Promise<() => void> {
    if (this.residence === 'here' && this.#isOpen) this.#begin(rules.now());
    else await this.#wait(asker, signal, rules);
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
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) {
      // Counted before the waiter runs on: nobody may see an idle model in between.
      this.#begin(now);
      waiter.enter();
    }
  }

  /** Whose turn it is, no longer waiting. */
  #next(): Waiter | undefined {
    const waiter = this.#line.shift();
    if (waiter !== undefined) this.#waiters.delete(waiter);
    return waiter;
  }

  #wait(asker: Asker, signal: AbortSignal, { now, maxWaitMs, maxWaiting }: EntryRules): Promise<void> {
    const { subject, priority = 'interactive' } = asker;
    if (this.waiting >= maxWaiting) {
      // Whoever fills the line makes room in it for the others.
      const displaced = this.#line.displaceFor(subject, priority);
      if (displaced === undefined) throw tooManyWait();
      this.#waiters.delete(displaced);
      displaced.refuse(tooManyWait());
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { since: now(), enter: resolve, refuse: reject };
    const withdraw = (reason: unknown) => {
      if (!this.#waiters.delete(waiter)) return;
      this.#line.remove(subject, priority, waiter);
      reject(reason);
    };
    const timer = setTimeout(() => withdraw(stillLoading()), maxWaitMs);
    const abort = () => withdraw(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#waiters.add(waiter);
    this.#line.push(subject, priority, waiter);
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    });
  }
}
