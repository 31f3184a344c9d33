import type { TokenCredit } from '#engine/engine.ts';
import type { Problem } from '#kernel/problem.ts';

/** A share with fewer unused tokens than this makes the whole ask for more. */
const AHEAD_TOKENS = 64;

export interface CreditShare extends TokenCredit {
  /** The answer has ended: what it did not use is for the others. */
  close(): void;
}

/**
 * One credit for several answers to the same prompt. What is paid for is dealt out to those that run, and what was dealt
 * is not taken back, so that all of them together can't go beyond it. The prompt is computed for each, and counted so.
 */
export class CreditShares {
  readonly #whole: TokenCredit;
  readonly #shares: Share[];
  #begun: Promise<void> | null | undefined;

  constructor(whole: TokenCredit, count: number) {
    this.#whole = whole;
    this.#shares = Array.from({ length: count }, () => new Share(whole, this));
    whole.watch(() => this.deal());
  }

  get shares(): readonly CreditShare[] {
    return this.#shares;
  }

  /** The first to begin pays for all the prompts: they are the same. */
  begin(share: Share, prompt: number, most: number, whole: boolean): Promise<void> | null {
    const count = this.#shares.length;
    if (this.#begun === undefined) this.#begun = this.#whole.begin(prompt * count, most * count, whole);
    const start = () => {
      for (const one of this.#shares) if (one.total === 0) one.total = prompt;
      share.ceiling = prompt + most;
      this.deal();
    };
    if (this.#begun !== null) return this.#begun.then(start);
    start();
    return null;
  }

  /** Whoever runs dry while others hold more than they need makes all of it count as used: so more is asked for. */
  reach(share: Share): void {
    const dry = share.total - share.used < AHEAD_TOKENS;
    this.#whole.reach(this.#shares.reduce((sum, one) => sum + (dry ? one.total : one.used), dry ? 1 : 0));
  }

  deal(): void {
    let free = this.#whole.total - this.#shares.reduce((sum, { total }) => sum + total, 0);
    const hungry = this.#shares.filter(({ total, ceiling }) => total < ceiling);
    for (const [at, share] of hungry.entries()) {
      const part = Math.min(Math.ceil(free / (hungry.length - at)), share.ceiling - share.total);
      if (part <= 0) break;
      share.total += part;
      free -= part;
    }
    for (const share of this.#shares) share.tell();
  }
}

class Share implements CreditShare {
  readonly #whole: TokenCredit;
  readonly #all: CreditShares;
  readonly #watchers = new Set<() => void>();
  total = 0;
  used = 0;
  /** Its prompt and longest answer; 0 while it has not begun, and when it has ended. */
  ceiling = 0;

  constructor(whole: TokenCredit, all: CreditShares) {
    this.#whole = whole;
    this.#all = all;
  }

  get final(): boolean {
    return this.#whole.final;
  }
  get failure(): Problem | null {
    return this.#whole.failure;
  }

  begin(promptTokens: number, most: number, whole: boolean): Promise<void> | null {
    this.used = promptTokens;
    return this.#all.begin(this, promptTokens, most, whole);
  }

  reach(tokens: number): void {
    this.used = Math.max(this.used, tokens);
    if (this.ceiling > 0) this.#all.reach(this);
  }

  covers(tokens: number): boolean | Promise<boolean> {
    const needed = Math.min(tokens, this.ceiling);
    this.reach(needed);
    return this.total >= needed || this.#waitFor(needed);
  }

  async #waitFor(needed: number): Promise<boolean> {
    while (this.total < needed) {
      if (this.failure !== null) throw this.failure;
      if (this.final) return false;
      this.reach(needed);
      const { promise, resolve } = Promise.withResolvers<void>();
      const unwatch = this.watch(resolve);
      await promise;
      unwatch();
    }
    return true;
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  tell(): void {
    for (const changed of this.#watchers) changed();
  }

  close(): void {
    if (this.ceiling === 0) return;
    this.ceiling = 0;
    this.total = Math.min(this.total, this.used);
    this.#all.deal();
  }
}
