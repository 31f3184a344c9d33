import type { Item, Verdict } from './admission.ts';

/** An item that waits for its batch. */
export interface Waiting {
  readonly item: Item;
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (reason: unknown) => void;
}

export interface QueueLimits {
  /** Items in one batch. */
  readonly batch: number;
  /** Admissions that may wait, in all and of one subject. */
  readonly admissions: number;
  readonly admissionsPerSubject: number;
  /** Records of refusals that may wait; they give way to admissions. */
  readonly refusals: number;
}

export const QUEUE_LIMITS: QueueLimits = {
  batch: 256,
  admissions: 4096,
  admissionsPerSubject: 1024,
  refusals: 2048,
};

/** Of each batch, so many places are kept for refusals and changes even when admissions alone could fill it. */
const RESERVED = 16;

/**
 * What waits for the log, in the order in which it goes: settlements first (they free what is reserved), then what runs
 * and needs more tokens, then admissions by turns of subjects, then records of refusals; changes last, because a batch reads sessions and quotas only once.
 */
export class AdmissionQueue {
  readonly #limits: QueueLimits;
  readonly #settlements: Waiting[] = [];
  readonly #extensions: Waiting[] = [];
  readonly #changes: Waiting[] = [];
  readonly #refusals: Waiting[] = [];
  /** Insertion order is the order of turns: a subject that was served goes to the back. */
  readonly #admissions = new Map<string, Waiting[]>();
  #admissionCount = 0;

  constructor(limits: QueueLimits = QUEUE_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return (
      this.#settlements.length +
      this.#extensions.length +
      this.#changes.length +
      this.#refusals.length +
      this.#admissionCount
    );
  }

  get settlements(): number {
    return this.#settlements.length;
  }

  /** False: there is no room, and the item was not taken. Settlements, extensions (one at most of a running request) and changes always have room. */
  push(waiting: Waiting): boolean {
    const { item } = waiting;
    if (item.op === 'admit') return this.#pushAdmission(item.record.actor, waiting);
    if (item.op === 'extend') {
      this.#extensions.push(waiting);
      return true;
    }
    if (item.op === 'record') {
      if (this.#refusals.length >= this.#limits.refusals) return false;
      this.#refusals.push(waiting);
      return true;
    }
    (item.op === 'change' ? this.#changes : this.#settlements).push(waiting);
    return true;
  }

  #pushAdmission(subject: string, waiting: Waiting): boolean {
    if (this.#admissionCount >= this.#limits.admissions) return false;
    const own = this.#admissions.get(subject);
    if (own && own.length >= this.#limits.admissionsPerSubject) return false;
    if (own) own.push(waiting);
    else this.#admissions.set(subject, [waiting]);
    this.#admissionCount++;
    return true;
  }

  /** Takes the next batch out, at most `limits.batch` items; empty when nothing waits. */
  take(): Waiting[] {
    const { batch } = this.#limits;
    const changes = this.#changes.splice(0, RESERVED);
    const refusals = this.#refusals.splice(0, RESERVED);
    const room = batch - changes.length - refusals.length;
    const taken = this.#settlements.splice(0, room);
    taken.push(...this.#extensions.splice(0, room - taken.length));
    while (taken.length < room && this.#admissionCount > 0) this.#takeTurn(taken, room);
    taken.push(...refusals);
    taken.push(...this.#refusals.splice(0, batch - changes.length - taken.length));
    taken.push(...changes);
    return taken;
  }

  /** One admission of each subject, as far as there is room. */
  #takeTurn(taken: Waiting[], room: number): void {
    for (const [subject, own] of this.#admissions) {
      if (taken.length >= room) return;
      const next = own.shift();
      this.#admissions.delete(subject);
      if (next) {
        taken.push(next);
        this.#admissionCount--;
      }
      if (own.length > 0) this.#admissions.set(subject, own);
    }
  }

  /** Takes out everything that may be refused while the log is down: all but settlements. */
  drainRefusable(): Waiting[] {
    const drained = [
      ...this.#extensions.splice(0),
      ...this.#changes.splice(0),
      ...this.#refusals.splice(0),
      ...[...this.#admissions.values()].flat(),
    ];
    this.#admissions.clear();
    this.#admissionCount = 0;
    return drained;
  }
}
