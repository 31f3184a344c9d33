import { useMemo } from 'preact/hooks';
import { useScoringText } from '#portal/i18n/scoring.ts';
import type { Scored } from '#portal/scoring/scorer.ts';
import { writeScores } from '#scoring/customers.shared.ts';
import type { DescriptorAnswer } from '#scoring/scoring.contract.ts';

const BINS = 20;
const SHOWN = 100;
const [WIDTH, HEIGHT, GAP] = [600, 120, 2];

interface Props {
  readonly model: DescriptorAnswer;
  readonly scored: Scored;
  readonly onAgain: () => void;
}

/** Decrypted, rounded scores, the highest first. */
export function ScoreTable({ model, scored, onAgain }: Props) {
  const text = useScoringText();
  const { names, scores, bytes, ms } = scored;
  const ranked = useMemo(
    () => names.map((name, index) => ({ name, score: scores[index] ?? 0 })).sort((a, b) => b.score - a.score),
    [names, scores],
  );
  const download = (): void => {
    const table = writeScores(
      ranked.map(({ name }) => name),
      ranked.map(({ score }) => score),
      model.decimals,
    );
    const url = URL.createObjectURL(new Blob([table], { type: 'text/csv' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = `${model.id}-scores.csv`;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <section aria-label={text.scoreResults}>
      <div class="score-head">
        <p class="quiet">{text.scoreSummary(names.length, (ms / 1000).toFixed(1), (bytes / 1e6).toFixed(1))}</p>
        <button type="button" class="button" onClick={download}>
          {text.scoreDownload}
        </button>
        <button type="button" class="button button-main" onClick={onAgain}>
          {text.scoreAgain}
        </button>
      </div>
      <Histogram
        scores={scores}
        decimals={model.link === 'logit' ? 2 : model.decimals}
        isShare={model.link === 'logit'}
      />
      <div class="table-wrap">
        <table class="table">
          <caption class="unseen">{text.scoreResults}</caption>
          <thead>
            <tr>
              <th scope="col">{text.scoreRank}</th>
              <th scope="col">{text.scoreCustomer}</th>
              <th scope="col" class="score-cell">
                {text.scoreResult}
              </th>
            </tr>
          </thead>
          <tbody>
            {ranked.slice(0, SHOWN).map(({ name, score }, rank) => (
              <tr key={rank}>
                <td class="number">{rank + 1}</td>
                <td>{name}</td>
                <td class="number score-cell">{score.toFixed(model.decimals)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {ranked.length > SHOWN && <p class="quiet">{text.scoreFirst(SHOWN)}</p>}
    </section>
  );
}

interface HistogramProps {
  readonly scores: readonly number[];
  readonly decimals: number;
  /** Scores between 0 and 1. */
  readonly isShare: boolean;
}

function Histogram({ scores, decimals, isShare }: HistogramProps) {
  const text = useScoringText();
  const [low, high] = isShare
    ? [0, 1]
    : scores.reduce(([least, most], score) => [Math.min(least, score), Math.max(most, score)], [Infinity, -Infinity]);
  const width = (high - low) / BINS || 1;
  const bins = new Array<number>(BINS).fill(0);
  for (const score of scores) {
    const bin = Math.min(BINS - 1, Math.floor((score - low) / width));
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  const most = Math.max(...bins);
  const step = WIDTH / BINS;
  return (
    <figure class="score-histogram">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={text.scoreHistogram}>
        {bins.map((customers, bin) => {
          const tall = customers === 0 ? 0 : Math.max(1, (customers / most) * HEIGHT);
          const from = low + bin * width;
          return (
            <rect key={bin} x={bin * step + GAP / 2} y={HEIGHT - tall} width={step - GAP} height={tall} rx="2">
              <title>{text.scoreBin(from.toFixed(decimals), (from + width).toFixed(decimals), customers)}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption class="quiet number">
        <span>{low.toFixed(decimals)}</span>
        <span>{text.scoreHistogram}</span>
        <span>{high.toFixed(decimals)}</span>
      </figcaption>
    </figure>
  );
}
