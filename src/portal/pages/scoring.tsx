import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useApi } from '#portal/api.ts';
import { shortDigest } from '#portal/format.ts';
import { useScoringText } from '#portal/i18n/scoring.ts';
import { CopyButton } from '#portal/parts/copy-button.tsx';
import { FileDrop } from '#portal/parts/file-drop.tsx';
import { RefusalNotice } from '#portal/parts/notice.tsx';
import { OneCustomer } from '#portal/parts/one-customer.tsx';
import { ScoreTable } from '#portal/parts/score-table.tsx';
import { ScorerNotice } from '#portal/parts/scorer-notice.tsx';
import type { Refusal } from '#portal/refusal.ts';
import { failureOf, type Scored, Scorer, type ScorerFault } from '#portal/scoring/scorer.ts';
import { useResource } from '#portal/task.ts';
import type { DescriptorAnswer, DescriptorList } from '#scoring/scoring.contract.ts';

/** Encrypted scoring. What is typed or dropped here leaves the browser only as ciphertext. */
export function ScoringPage() {
  const text = useScoringText();
  const models = useResource<DescriptorList>('/v1/scoring/models');
  const [chosen, choose] = useState<string | null>(null);
  const list = models.data?.data ?? [];
  const model = list.find(({ id }) => id === chosen) ?? list[0];
  return (
    <div class="page">
      {/* Its own file: who never scores does not load it. */}
      <link rel="stylesheet" href="/scoring.css" />
      <header class="page-head">
        <h1>{text.scoreTitle}</h1>
        <p class="quiet">{text.scoreLead}</p>
      </header>
      {models.refusal !== null && <RefusalNotice refusal={models.refusal} onRetry={models.refresh} />}
      {models.data === null && models.refusal === null && <p class="empty">{text.loading}</p>}
      {models.data !== null && model === undefined && <p class="empty">{text.scoreNone}</p>}
      {model !== undefined && (
        <>
          {list.length > 1 && (
            <div class="field score-model">
              <label for="score-model">{text.scoreModel}</label>
              <select id="score-model" value={model.id} onChange={(event) => choose(event.currentTarget.value)}>
                {list.map(({ id, title }) => (
                  <option key={id} value={id}>
                    {title}
                  </option>
                ))}
              </select>
            </div>
          )}
          <ScoringDesk key={`${model.id} ${model.sha256}`} model={model} />
        </>
      )}
    </div>
  );
}

type Work =
  | { readonly state: 'idle' }
  | { readonly state: 'working'; readonly done: number; readonly all: number }
  | { readonly state: 'scored'; readonly scored: Scored }
  | { readonly state: 'failed'; readonly failure: Refusal | ScorerFault };

function ScoringDesk({ model }: { readonly model: DescriptorAnswer }) {
  const text = useScoringText();
  const api = useApi();
  const scorer = useMemo(() => new Scorer(api, model), [api, model]);
  useEffect(() => () => scorer.close(), [scorer]);
  const [work, setWork] = useState<Work>({ state: 'idle' });
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const scoreFile = (file: Blob): void => {
    const abort = new AbortController();
    running.current = abort;
    setWork({ state: 'working', done: 0, all: 0 });
    scorer
      .file(file, abort.signal, (done, all) => setWork({ state: 'working', done, all }))
      .then(
        (scored) => setWork({ state: 'scored', scored }),
        (thrown: unknown) =>
          setWork(abort.signal.aborted ? { state: 'idle' } : { state: 'failed', failure: failureOf(thrown) }),
      );
  };
  return (
    <>
      {work.state === 'scored' ? (
        <ScoreTable model={model} scored={work.scored} onAgain={() => setWork({ state: 'idle' })} />
      ) : (
        <div class="score-desk">
          <section class="card score-card" aria-label={text.scoreBatch}>
            <h2>{text.scoreBatch}</h2>
            {work.state === 'working' ? (
              <div class="score-working" role="status">
                <p>{text.scoreWorking}</p>
                <progress
                  aria-label={text.scoreWorking}
                  value={work.all === 0 ? undefined : work.done}
                  max={work.all || 1}
                />
                <p class="quiet number">{work.all > 0 && text.scoreProgress(work.done, work.all)}</p>
                <button type="button" class="button button-small" onClick={() => running.current?.abort()}>
                  {text.scoreStop}
                </button>
              </div>
            ) : (
              <FileDrop onFile={scoreFile} />
            )}
            {work.state === 'failed' && <ScorerNotice failure={work.failure} />}
            <details class="score-columns">
              <summary>{text.scoreColumns}</summary>
              <p>
                {model.features.map(({ name }) => (
                  <code key={name}>{name}</code>
                ))}
              </p>
            </details>
          </section>
          <OneCustomer model={model} scorer={scorer} />
        </div>
      )}
      <section class="score-notes" aria-label={text.scoreNotes}>
        <h2>{text.scoreNotes}</h2>
        <ul class="rules">
          {text.scoreProtects.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <h2>{text.scoreProvenance}</h2>
        <p class="quiet">
          {model.title}, {text.scoreVersion(model.version)}. {model.provenance}
        </p>
        <p class="quiet">
          {text.scoreDigest} <code title={model.sha256}>{shortDigest(model.sha256)}</code>
          <CopyButton value={model.sha256} label={text.scoreDigest} />
        </p>
      </section>
    </>
  );
}
