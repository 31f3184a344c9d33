import { useEffect, useState } from 'preact/hooks';
import { type EventFilter, EXACT, type ExactName, NO_FILTER, type Period } from '#portal/event-filter.ts';
import { useOfficeText } from '#portal/i18n/offices.ts';
import { Field } from './field.tsx';

interface Props {
  readonly filter: EventFilter;
  /** Values seen so far, offered while typing. */
  readonly known: Readonly<Record<ExactName, readonly string[]>>;
  readonly onFilter: (filter: EventFilter) => void;
}

const PERIODS: readonly Period[] = ['hour', 'day', 'week', 'custom'];

export function EventFilterForm({ filter, known, onFilter }: Props) {
  const text = useOfficeText();
  const [draft, setDraft] = useState(filter);
  const [wide] = useState(() => matchMedia('(min-width: 44rem)').matches);
  useEffect(() => setDraft(filter), [filter]);
  const labels: Record<ExactName, string> = {
    actor: text.actor,
    action: text.action,
    resource: text.resource,
    outcome: text.outcome,
    request_id: text.requestId,
  };
  const choose = (period: Period): void => {
    const next = { ...draft, period };
    setDraft(next);
    if (period !== 'custom') onFilter(next);
  };
  return (
    <search>
      <form
        class="filter"
        onSubmit={(event) => {
          event.preventDefault();
          onFilter({ ...draft });
        }}
      >
        <div class="filter-top">
          <fieldset class="switch">
            <legend class="unseen">{text.period}</legend>
            {PERIODS.map((period) => (
              <button key={period} type="button" aria-pressed={draft.period === period} onClick={() => choose(period)}>
                {text.periods[period]}
              </button>
            ))}
          </fieldset>
          {draft.period === 'custom' && (
            <div class="filter-times">
              <Field
                label={text.from}
                type="datetime-local"
                value={draft.from}
                onValue={(from) => setDraft({ ...draft, from })}
              />
              <Field
                label={text.to}
                type="datetime-local"
                value={draft.to}
                onValue={(to) => setDraft({ ...draft, to })}
              />
            </div>
          )}
        </div>
        <details class="filter-more" open={wide}>
          <summary>{text.filters}</summary>
          <div class="filter-fields">
            {EXACT.map((name) => (
              <Field
                key={name}
                label={labels[name]}
                value={draft[name]}
                list={known[name]}
                onValue={(value) => setDraft({ ...draft, [name]: value })}
              />
            ))}
            <div class="filter-end">
              <button type="submit" class="button button-main">
                {text.search}
              </button>
              <button type="button" class="button" onClick={() => onFilter({ ...NO_FILTER })}>
                {text.clear}
              </button>
            </div>
          </div>
        </details>
      </form>
    </search>
  );
}
