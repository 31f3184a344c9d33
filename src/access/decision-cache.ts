import type { AccessDecision } from './access.ts';

/** Decisions of one generation; twice as many are held at most. */
const MAX_GENERATION = 20_000;
/** No key of ours is as long; one that is would be somebody's way to fill the memory. */
const MAX_KEY = 2_000;

/** Remembers what was asked lately, in two generations: what is asked again lives on, the rest is dropped as a whole. */
export class DecisionCache {
  #young = new Map<string, AccessDecision>();
  #old = new Map<string, AccessDecision>();

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): AccessDecision | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, decision: AccessDecision): void {
    if (key.length > MAX_KEY) return;
    if (this.#young.size >= MAX_GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, decision);
  }
}
