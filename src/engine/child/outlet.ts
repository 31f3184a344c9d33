/** The way to the gateway. What is held back leaves before anything that comes after it, or when somebody has time for it. */
export class Outlet<T> {
  readonly #send: (message: T) => void;
  #held: T | null = null;

  constructor(send: (message: T) => void) {
    this.#send = send;
  }

  readonly send = (message: T): void => {
    this.flush();
    this.#send(message);
  };

  /** For the moment in which other threads compute: writing a message is work that a step need not wait for. */
  hold(message: T): void {
    this.flush();
    this.#held = message;
  }

  readonly flush = (): void => {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#send(held);
  };
}
