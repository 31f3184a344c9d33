/** Milliseconds that a token takes with a draft model that foresees it, and without; null: not measured yet. */
export interface DraftCosts {
  readonly drafted: number | null;
  readonly plain: number | null;
}

/**
 * Whether a draft model is used, and if not, why: nothing was foreseen yet, several conversations are answered at once and
 * fill a step by themselves, or a token was measured to take longer with it.
 */
export type DraftUse = 'untried' | 'on' | 'crowded' | 'slower';

/** Whether it is the faster way, as far as it was measured. */
export const draftPays = ({ drafted, plain }: DraftCosts): boolean =>
  drafted === null || (plain !== null && drafted <= plain);

/** @param busy conversations that are answered at this moment */
export function draftUse(costs: DraftCosts, busy: number): DraftUse {
  if (busy > 1) return 'crowded';
  if (costs.drafted === null) return 'untried';
  // Measured one way only: what comes next is measured the other way.
  return costs.plain === null || draftPays(costs) ? 'on' : 'slower';
}
