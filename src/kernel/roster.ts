/**
 * Who is there now, in no order, where many come and go: one or more with each request.
 *
 * A `Set` or a `Map` would be dear here. V8 copies their tables after every few dozen deletions, and the old copy leads to
 * the new one and still names the members of that moment. Once a copy has grown old, the young collections keep every later
 * copy, with all its members, until the next full collection: most requests would outlive their end by seconds, and each
 * young collection, which copies what lives, would take tens of milliseconds where it takes one.
 */
export class Roster<T> {
  readonly #members: (T | null)[] = [];
  /** Places of those who have left. */
  readonly #free: number[] = [];

  get size(): number {
    return this.#members.length - this.#free.length;
  }

  /** The result takes the member out, and says whether it was still there. */
  add(member: T): () => boolean {
    const place = this.#free.pop() ?? this.#members.length;
    this.#members[place] = member;
    let isHere = true;
    return () => {
      if (!isHere) return false;
      isHere = false;
      this.#members[place] = null;
      this.#free.push(place);
      return true;
    };
  }

  /** Those who are there now: who comes or goes meanwhile changes nothing of it. */
  members(): T[] {
    return this.#members.filter((member) => member !== null);
  }
}
