/** So many go on before whatever else has come is looked at: a millisecond or two of work; where many wait, this part of them. */
const [MOST_AT_ONCE, PART] = [32, 1 / 4];

/**
 * In whose turn it is to go on, of the readers of many streams. What has come for them waits until all that has come was
 * taken from the sockets; then they go on one after another, some of them at a time. So a stream that begins, whose way is
 * several turns of the loop long, waits at none of them for a token of every other stream; and one kind of work after another
 * costs less than all kinds in turns. What comes for a reader while he waits, he finds when it is his turn.
 */
export class Turns {
  #waiting: (() => void)[] = [];
  #next = 0;

  /** `go` is called once. MUST NOT throw. */
  wait(go: () => void): void {
    if (this.#waiting.length === 0) setImmediate(this.#turn);
    this.#waiting.push(go);
  }

  readonly #turn = (): void => {
    const left = this.#waiting.length - this.#next;
    const end = this.#next + Math.min(left, Math.max(MOST_AT_ONCE, Math.ceil(left * PART)));
    while (this.#next < end) this.#waiting[this.#next++]?.();
    if (this.#next < this.#waiting.length) {
      setImmediate(this.#turn);
      return;
    }
    this.#waiting = [];
    this.#next = 0;
  };
}
