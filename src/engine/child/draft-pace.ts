import { type DraftCosts, draftPays } from '#engine/draft-use.ts';

/** So many steps go by before the slower way is tried again. */
const RETRY_STEPS = 64;

/** Whether foreseeing tokens with a draft model pays: measured, per token, against answering without. */
export class DraftPace {
  readonly #costs: Record<keyof DraftCosts, number | null> = { drafted: null, plain: null };
  #steps = 0;
  /** Tokens that were foreseen, and those of them that the model then chose. */
  foreseen = 0;
  right = 0;

  /** What the next step should do: the faster way, and now and then the other one to see whether it still is. */
  get wantsDraft(): boolean {
    const isFaster = draftPays(this.#costs);
    const { drafted, plain } = this.#costs;
    if (drafted === null || plain === null) return isFaster;
    return this.#steps % RETRY_STEPS === 0 ? !isFaster : isFaster;
  }

  get costs(): DraftCosts {
    return { ...this.#costs };
  }

  /**
   * What a step yielded and took; null for one that foresaw nothing because it did not try. `isTypical`: nothing had to be read first,
   * by either model, that was not said in the step before. Reading a prompt is no part of what a token takes, and would
   * speak against the draft model for hundreds of tokens.
   */
  told(
    tokens: number,
    milliseconds: number,
    draft: { readonly foreseen: number; readonly right: number } | null,
    isTypical = true,
  ): void {
    this.foreseen += draft?.foreseen ?? 0;
    this.right += draft?.right ?? 0;
    // It has read what it had missed: the next step tells what it is worth.
    if (!isTypical && (draft?.foreseen ?? 0) > 0) return;
    this.#steps++;
    if (!isTypical) return;
    const way = draft === null ? 'plain' : 'drafted';
    const cost = milliseconds / Math.max(1, tokens);
    const known = this.#costs[way];
    this.#costs[way] = known === null ? cost : known * 0.8 + cost * 0.2;
  }
}
