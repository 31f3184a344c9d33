import { useScoringText } from '#portal/i18n/scoring.ts';
import { Refusal } from '#portal/refusal.ts';
import type { ScorerFault } from '#portal/scoring/scorer.ts';
import { Icon } from './mark.tsx';
import { RefusalNotice } from './notice.tsx';

/** Why nothing was scored: the gateway refused, or the table can't be read. */
export function ScorerNotice({ failure }: { readonly failure: Refusal | ScorerFault }) {
  const text = useScoringText();
  if (failure instanceof Refusal) return <RefusalNotice refusal={failure} />;
  return (
    <div class="notice notice-bad" role="alert">
      <Icon name="alert" />
      <p>
        {text.faults[failure.code] ?? text.faults['failed']} {text.faultAt(failure.line, failure.column)}
      </p>
    </div>
  );
}
