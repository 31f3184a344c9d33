/** Look-ups of credentials that nobody holds, per network: so many at once, and one more every half second. */
const BURST = 120;
const REFILL_MS = 500;
/** Networks that are told apart; beyond this all new ones share one budget, so that nobody fills our memory. */
const MAX_NETWORKS = 4096;
const OTHERS = 'others';
/** A credential that was not found is not looked for again so soon. */
const REMEMBER_MS = 5000;
const MAX_REMEMBERED = 10_000;

interface Budget {
  left: number;
  since: number;
}

/**
 * What made-up credentials may cost: each is one look-up in the database, until its network has used its budget up.
 * Pure: the time, in milliseconds of a clock that never runs backwards, is an argument.
 */
export class UnknownCredentials {
  readonly #budgets = new Map<string, Budget>();
  readonly #remembered = new Map<string, number>();
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** Whether it was looked for and not found a moment ago. */
  isKnownBad(ref: string, now: number): boolean {
    const until = this.#remembered.get(ref);
    return until !== undefined && until > now;
  }

  /** Takes one look-up. Returns the seconds to wait where there is none left, else 0. */
  take(network: string, now: number): number {
    const budget = this.#budget(network, now);
    const gained = Math.floor((now - budget.since) / REFILL_MS);
    budget.left = Math.min(BURST, budget.left + gained);
    budget.since += gained * REFILL_MS;
    if (budget.left < 1) return Math.ceil((REFILL_MS - (now - budget.since)) / 1000);
    budget.left--;
    return 0;
  }

  /** The credential was one of ours after all: it costs its network nothing. */
  giveBack(network: string, now: number): void {
    const budget = this.#budget(network, now);
    budget.left = Math.min(BURST, budget.left + 1);
  }

  remember(ref: string, now: number): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(ref, now + REMEMBER_MS);
  }

  #budget(network: string, now: number): Budget {
    const known = this.#budgets.get(network);
    if (known) return known;
    if (this.#budgets.size >= MAX_NETWORKS) this.#dropWhole(now);
    const name = this.#budgets.size >= MAX_NETWORKS ? OTHERS : network;
    const budget = this.#budgets.get(name) ?? { left: BURST, since: now };
    this.#budgets.set(name, budget);
    return budget;
  }

  /**
   * A network whose budget has filled up again is like one that was never seen. Sooner than one more look-up is gained
   * nothing has changed: a flood from many networks must not pay for the walk each time.
   */
  #dropWhole(now: number): void {
    if (now - this.#sweptAt < REFILL_MS) return;
    this.#sweptAt = now;
    for (const [network, { left, since }] of this.#budgets)
      if (left + Math.floor((now - since) / REFILL_MS) >= BURST) this.#budgets.delete(network);
  }
}
