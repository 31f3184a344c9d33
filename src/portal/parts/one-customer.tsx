import { useState } from 'preact/hooks';
import { useScoringText } from '#portal/i18n/scoring.ts';
import type { Refusal } from '#portal/refusal.ts';
import { failureOf, type Scorer, type ScorerFault } from '#portal/scoring/scorer.ts';
import type { DescriptorAnswer } from '#scoring/scoring.contract.ts';
import { ScorerNotice } from './scorer-notice.tsx';

interface Props {
  readonly model: DescriptorAnswer;
  readonly scorer: Scorer;
}

/** One customer, typed in. It begins with the mean of those that the model was trained on. */
export function OneCustomer({ model, scorer }: Props) {
  const text = useScoringText();
  const [values, setValues] = useState(() => model.features.map(({ mean }) => String(Number(mean.toPrecision(4)))));
  const [busy, setBusy] = useState(false);
  const [score, setScore] = useState<number | null>(null);
  const [failure, setFailure] = useState<Refusal | ScorerFault | null>(null);

  const go = (): void => {
    setBusy(true);
    setFailure(null);
    setScore(null);
    scorer
      .one(values.map(Number), new AbortController().signal)
      .then(setScore, (thrown: unknown) => setFailure(failureOf(thrown)))
      .finally(() => setBusy(false));
  };
  return (
    <form
      class="card score-card"
      aria-label={text.scoreOne}
      onSubmit={(event) => {
        event.preventDefault();
        go();
      }}
    >
      <h2>{text.scoreOne}</h2>
      <div class="score-fields">
        {model.features.map(({ name }, index) => (
          <div key={name} class="field">
            <label for={`feature-${name}`}>{name.replaceAll('_', ' ')}</label>
            <input
              id={`feature-${name}`}
              type="number"
              step="any"
              required
              value={values[index]}
              onInput={(event) => {
                const typed = event.currentTarget.value;
                setScore(null);
                setValues((before) => before.map((value, at) => (at === index ? typed : value)));
              }}
            />
          </div>
        ))}
      </div>
      <div class="score-go">
        <button type="submit" class="button button-main" disabled={busy}>
          {busy ? text.scoreWorking : text.scoreGo}
        </button>
        <output class="score-output" aria-live="polite">
          {score !== null && (
            <>
              <small class="quiet">{text.scoreResult}</small> <b class="number">{score.toFixed(model.decimals)}</b>
            </>
          )}
        </output>
      </div>
      {failure !== null && <ScorerNotice failure={failure} />}
    </form>
  );
}
