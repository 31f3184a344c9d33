import { useState } from 'preact/hooks';
import type { ExplainQuery, Explanation } from '#access/policies.contract.ts';
import { useApi } from '#portal/api.ts';
import { usePolicyText } from '#portal/i18n/policy.ts';
import { useTask } from '#portal/task.ts';
import { Field } from './field.tsx';
import { RefusalNotice } from './notice.tsx';

const EMPTY = { user: '', action: 'infer', resource: 'model:demo', at: '', from: '', strength: '' };
type Strength = NonNullable<ExplainQuery['strength']> | '';
const STRENGTHS: readonly Strength[] = ['', 'none', 'password', 'second-factor', 'phishing-resistant'];

/** Asks the policy in force about somebody, and shows which rule decides and what the nearest others want. */
export function PolicyQuestion() {
  const text = usePolicyText();
  const api = useApi();
  const task = useTask();
  const [asked, setAsked] = useState(EMPTY);
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const set = (name: keyof typeof EMPTY) => (value: string) => setAsked({ ...asked, [name]: value });
  const submit = (event: Event): void => {
    event.preventDefault();
    const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ''));
    // The form speaks of the reader's own hours.
    if (asked.at !== '') query.set('at', new Date(asked.at).toISOString());
    setAnswer(null);
    task.run(async () => setAnswer(await api.send<Explanation>('GET', `/admin/policies/explain?${query}`)));
  };
  return (
    <section class="card policy-question" aria-label={text.explainTitle}>
      <form class="form" onSubmit={submit}>
        <div>
          <h2>{text.explainTitle}</h2>
          <p class="quiet">{text.explainLead}</p>
        </div>
        <div class="form-pair">
          <Field label={text.explainUser} value={asked.user} onValue={set('user')} maxLength={128} required />
          <Field label={text.explainAction} value={asked.action} onValue={set('action')} maxLength={64} required />
        </div>
        <Field
          label={text.explainResource}
          hint={text.explainResourceHint}
          value={asked.resource}
          onValue={set('resource')}
          required
        />
        <Field label={text.explainAt} type="datetime-local" value={asked.at} onValue={set('at')} />
        <div class="form-pair">
          <Field label={text.explainFrom} value={asked.from} onValue={set('from')} maxLength={45} />
          <div class="field">
            <label for="strength">{text.explainStrength}</label>
            <select
              id="strength"
              value={asked.strength}
              onChange={(event) => set('strength')(event.currentTarget.value)}
            >
              {STRENGTHS.map((strength) => (
                <option key={strength} value={strength}>
                  {text.explainStrengths[strength]}
                </option>
              ))}
            </select>
          </div>
        </div>
        <div class="form-end">
          <button type="submit" class="button" disabled={task.busy}>
            {text.explainAsk}
          </button>
        </div>
      </form>
      <div class="policy-answer" aria-live="polite">
        {task.refusal !== null && <RefusalNotice refusal={task.refusal} />}
        {answer !== null && <Answer answer={answer} />}
      </div>
    </section>
  );
}

function Answer({ answer }: { readonly answer: Explanation }) {
  const text = usePolicyText();
  return (
    <>
      <p>
        <span class={answer.allowed ? 'state state-active' : 'state state-disabled'}>
          {answer.allowed ? text.explainYes : text.explainNo}
        </span>
      </p>
      <p>{answer.because}</p>
      <ul class="policy-rules">
        {answer.rules.map(({ rule, effect, explanation, conditions }) => (
          <li key={rule}>
            <p>
              <b>{rule}</b> <code>{effect}</code> {explanation}
            </p>
            <ul>
              {conditions.map(({ asks, found, met }) => (
                <li key={asks} class={met ? 'met' : 'unmet'}>
                  {met ? '✓' : '✗'} {asks}
                  {!met && <small> ({text.explainIs(found)})</small>}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}
