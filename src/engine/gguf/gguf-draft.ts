import type { GgufFacts } from './gguf-header.ts';

/** Why a draft model is of no use to the one that it was given to. */
export class DraftFault extends Error {}

/**
 * Checks a draft model against the one whose words it foresees. A token that the large model does not have would be an
 * error there, and another spelling never be right.
 *
 * @throws DraftFault
 */
export function checkDraft(draft: GgufFacts, large: GgufFacts): void {
  if (draft.vocabulary !== large.vocabulary || draft.vocabularyMark !== large.vocabularyMark)
    throw new DraftFault('the draft model has another vocabulary');
}
