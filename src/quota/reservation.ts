import type { TokenCredit } from '#engine/engine.ts';
import type { Grant, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';

/** Output is reserved in slices of so many tokens. */
export const SLICE_TOKENS = 512;
/** The next slice is asked for when so few are left, so that it is there before it is needed. */
const AHEAD_TOKENS = SLICE_TOKENS / 2;

export interface ReservationDeps {
  /** Reserved at admission. */
  readonly tokens: number;
  /** @throws Problem `audit_unavailable` */
  readonly extend: (ask: Reserve) => Promise<Grant>;
  /** What to say when not even the prompt can be paid for. */
  readonly refuse: (limit: string, promptTokens: number, retryAfter: number) => Problem;
}

/**
 * The tokens of one answer, from the estimate at admission to the last slice. Never more than one extension is under
 * way, and what was not granted is never counted on: a token leaves only when it is paid for.
 */
export class Reservation implements TokenCredit {
  readonly #deps: ReservationDeps;
  #total: number;
  /** Prompt and the longest answer together; unknown before the model has counted the prompt. */
  #ceiling = Number.POSITIVE_INFINITY;
  #reached = 0;
  #final = false;
  #limit: string | null = null;
  #retryAfter = 0;
  #failure: Problem | null = null;
  #asking: Promise<void> | null = null;
  readonly #watchers = new Set<() => void>();

  constructor(deps: ReservationDeps) {
    this.#deps = deps;
    this.#total = deps.tokens;
  }

  get total(): number {
    return this.#total;
  }
  get final(): boolean {
    return this.#final;
  }
  get failure(): Problem | null {
    return this.#failure;
  }
  /** The limit that ended it (`tokens_day:user`); null while none has. */
  get limit(): string | null {
    return this.#limit;
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  begin(promptTokens: number, most: number, whole: boolean): Promise<void> | null {
    this.#ceiling = promptTokens + most;
    this.#reached = promptTokens;
    const wanted = promptTokens + (whole ? most : Math.min(SLICE_TOKENS, most));
    // Of an answer one token must be paid for; where there is none, the prompt is all.
    const needed = promptTokens + Math.min(1, most);
    const least = needed - this.#total;
    if (least > 0 || (whole && this.#total < wanted)) {
      return this.#ask({ tokens: wanted - this.#total, least: Math.max(1, least) }).then(() => {
        if (this.#failure !== null) throw this.#failure;
        if (this.#total < needed) throw this.#deps.refuse(this.#limit ?? '', promptTokens, this.#retryAfter);
      });
    }
    // A small rest is left to the answer, which is as good as given back and spares the way to the database.
    const spare = this.#total - wanted;
    if (spare > SLICE_TOKENS) this.#giveBack(spare);
    else this.#look();
    return null;
  }

  reach(tokens: number): void {
    this.#reached = Math.max(this.#reached, tokens);
    this.#look();
  }

  covers(tokens: number): boolean | Promise<boolean> {
    const needed = Math.min(tokens, this.#ceiling);
    this.reach(needed);
    return this.#total >= needed || this.#waitFor(needed);
  }

  async #waitFor(tokens: number): Promise<boolean> {
    while (this.#total < tokens) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#final) return false;
      this.#look();
      await this.#asking;
    }
    return true;
  }

  /** Asks for the next slice where it will soon be needed. */
  #look(): void {
    const missing = this.#ceiling - this.#total;
    if (this.#asking !== null || this.#final || this.#failure !== null || !(missing > 0)) return;
    if (this.#total - this.#reached > AHEAD_TOKENS || this.#ceiling === Number.POSITIVE_INFINITY) return;
    const wanted = Math.max(SLICE_TOKENS, this.#reached - this.#total);
    void this.#ask({ tokens: Math.min(wanted, missing), least: 1 });
  }

  /** Never rejects; what went wrong is in `failure`. */
  #ask(ask: Reserve): Promise<void> {
    this.#asking = this.#extend(ask).finally(() => {
      this.#asking = null;
      for (const changed of this.#watchers) changed();
    });
    return this.#asking;
  }

  async #extend(ask: Reserve): Promise<void> {
    try {
      const { tokens, limit, retryAfter } = await this.#deps.extend(ask);
      this.#total += tokens;
      if (tokens < ask.tokens) {
        this.#final = true;
        this.#limit = limit;
        this.#retryAfter = retryAfter;
      }
    } catch (thrown) {
      this.#failure = Problem.from(thrown);
    }
  }

  /** Not waited for: less is counted on from now, and should it not get through, the settlement gives it back. */
  #giveBack(tokens: number): void {
    this.#total -= tokens;
    this.#asking = this.#deps
      .extend({ tokens: -tokens, least: 0 })
      .then(
        () => {},
        () => {},
      )
      .finally(() => {
        this.#asking = null;
        this.#look();
      });
  }
}
