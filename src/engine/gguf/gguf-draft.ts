import { GgufFault } from './gguf-figures.ts';
import type { GgufFacts } from './gguf-header.ts';

/**
 * Checks a draft model against the one whose words it foresees. A token that the large model does not have would be an
 * error there, and another spelling never be right.
 *
 * @throws GgufFault
 */
export function checkDraft(draft: GgufFacts, large: GgufFacts): void {
  if (draft.vocabulary !== large.vocabulary || draft.vocabularyMark !== large.vocabularyMark)
    throw new GgufFault('the draft model has another vocabulary');
}
