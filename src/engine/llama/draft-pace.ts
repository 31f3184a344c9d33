/** So many steps go by before the slower way is tried again. */
const RETRY_STEPS = 64;

/** Whether foreseeing tokens with a draft model pays: measured, per token, against answering without. */
export class DraftPace {
  /** Milliseconds per token; null: not measured yet. */
  readonly #cost: Record<'drafted' | 'plain', number | null> = { drafted: null, plain: null };
  #steps = 0;
  /** Tokens that were foreseen, and those of them that the model then chose. */
  foreseen = 0;
  right = 0;

  /** What the next step should do: the faster way, and now and then the other one to see whether it still is. */
  get wantsDraft(): boolean {
    const { drafted, plain } = this.#cost;
    if (drafted === null) return true;
    if (plain === null) return false;
    const isFaster = drafted <= plain;
    return this.#steps % RETRY_STEPS === 0 ? !isFaster : isFaster;
  }

  /** What a step yielded and took; null for one that foresaw nothing because it did not try. */
  told(
    tokens: number,
    milliseconds: number,
    draft: { readonly foreseen: number; readonly right: number } | null,
  ): void {
    this.#steps++;
    this.foreseen += draft?.foreseen ?? 0;
    this.right += draft?.right ?? 0;
    const way = draft === null ? 'plain' : 'drafted';
    const cost = milliseconds / Math.max(1, tokens);
    const known = this.#cost[way];
    this.#cost[way] = known === null ? cost : known * 0.8 + cost * 0.2;
  }
}
