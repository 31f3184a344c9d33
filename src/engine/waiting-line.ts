import type { Priority } from './priority.ts';

type May = (subject: string) => boolean;
const everybody: May = () => true;

/** Waiting callers, served in turn by subject, so that one user's hundred requests do not stand before another's one. */
export class FairQueue<T> {
  readonly #bySubject = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(subject: string, item: T): void {
    const own = this.#bySubject.get(subject);
    if (own === undefined) this.#bySubject.set(subject, [item]);
    else own.push(item);
    this.#size++;
  }

  /** The oldest item of the next subject that may; that subject then goes to the end of the round. */
  shift(may: May = everybody): T | undefined {
    for (const [subject, own] of this.#bySubject) {
      if (!may(subject)) continue;
      const item = own.shift();
      this.#bySubject.delete(subject);
      if (own.length > 0) this.#bySubject.set(subject, own);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @returns false when the item is not (or no longer) waiting. */
  remove(subject: string, item: T): boolean {
    const own = this.#bySubject.get(subject);
    const at = own?.indexOf(item) ?? -1;
    if (own === undefined || at < 0) return false;
    own.splice(at, 1);
    if (own.length === 0) this.#bySubject.delete(subject);
    this.#size--;
    return true;
  }

  /** How many of a subject wait. */
  count(subject: string): number {
    return this.#bySubject.get(subject)?.length ?? 0;
  }

  get subjects(): IterableIterator<string> {
    return this.#bySubject.keys();
  }

  /** Takes out the newest item of a subject. */
  pop(subject: string): T | undefined {
    const own = this.#bySubject.get(subject);
    const item = own?.at(-1);
    if (item !== undefined) this.remove(subject, item);
    return item;
  }
}

/** So many of the interactive go before a batch request that waits; then it is its turn. Nobody waits for ever. */
const PASSED_MOST = 4;

/** Two fair queues, of which the one goes before the other until that has waited for its turn. */
export class WaitingLine<T> {
  readonly #queues: Readonly<Record<Priority, FairQueue<T>>> = { interactive: new FairQueue(), batch: new FairQueue() };
  /** Interactive ones that went before a batch request which waited. */
  #passed = 0;

  get size(): number {
    return this.#queues.interactive.size + this.#queues.batch.size;
  }

  push(subject: string, priority: Priority, item: T): void {
    this.#queues[priority].push(subject, item);
  }

  /** @param may whose turn it can be */
  shift(may: May = everybody): T | undefined {
    const { interactive, batch } = this.#queues;
    const isTurnOfBatch = batch.size > 0 && (interactive.size === 0 || this.#passed >= PASSED_MOST);
    this.#passed = isTurnOfBatch || batch.size === 0 ? 0 : this.#passed + 1;
    return isTurnOfBatch ? (batch.shift(may) ?? interactive.shift(may)) : (interactive.shift(may) ?? batch.shift(may));
  }

  /** @returns false when the item is not (or no longer) waiting. */
  remove(subject: string, priority: Priority, item: T): boolean {
    return this.#queues[priority].remove(subject, item);
  }

  /**
   * Makes room in a full line for one more: takes out the newest item of the subject that has most, batch before
   * interactive, if it has more than this one would have. Somebody interactive also displaces a batch request, but those
   * keep half of the line.
   */
  displaceFor(subject: string, priority: Priority): T | undefined {
    const { interactive, batch } = this.#queues;
    const count = (one: string) => interactive.count(one) + batch.count(one);
    const most = longest([...interactive.subjects, ...batch.subjects], count);
    if (most !== undefined && count(most) > count(subject) + 1) return batch.pop(most) ?? interactive.pop(most);
    if (priority === 'batch' || batch.size * 2 <= this.size) return undefined;
    const greedy = longest([...batch.subjects], (one) => batch.count(one));
    return greedy === undefined ? undefined : batch.pop(greedy);
  }
}

const longest = (subjects: readonly string[], count: (subject: string) => number): string | undefined =>
  subjects.reduce<string | undefined>(
    (most, one) => (most === undefined || count(one) > count(most) ? one : most),
    undefined,
  );
