import { type Spread, spreadOf, spreadText, table } from './report.ts';

/** One figure of one side in one round. */
export interface Figure {
  readonly what: string;
  /** More is better. Ratios are made so that more is better in any case. */
  readonly isSpeed: boolean;
  readonly value: number;
}

/** Both sides' figures of a round; the other side's are null where it is absent, and it need not have all of ours. */
export interface Round {
  readonly ours: readonly Figure[];
  readonly theirs: readonly Figure[] | null;
}

export interface Comparison {
  readonly what: string;
  readonly ours: Spread;
  readonly theirs: Spread | null;
  /** Over the rounds, each by itself. */
  readonly ratio: Spread | null;
  readonly ratios: readonly number[] | null;
}

export function compare(rounds: readonly Round[]): Comparison[] {
  return (rounds[0]?.ours ?? []).map(({ what, isSpeed }) => {
    const of = (figures: readonly Figure[] | null) => figures?.find((one) => one.what === what)?.value ?? Number.NaN;
    const ours = rounds.map((round) => of(round.ours));
    const theirs = rounds.map((round) => of(round.theirs));
    const ratios = ours.map((value, at) => {
      const other = theirs[at] ?? Number.NaN;
      return isSpeed ? value / other : other / value;
    });
    if (theirs.every(Number.isNaN)) return { what, ours: spreadOf(ours), theirs: null, ratio: null, ratios: null };
    return { what, ours: spreadOf(ours), theirs: spreadOf(theirs), ratio: spreadOf(ratios), ratios };
  });
}

export const comparisonTable = (rows: readonly Comparison[]): string =>
  table(
    ['model, what', 'strongroom', 'llama-server', 'ratio, more is better'],
    rows.map(({ what, ours, theirs, ratio }) => [
      what,
      spreadText(ours, 1),
      theirs === null ? '-' : spreadText(theirs, 1),
      ratio === null ? '-' : spreadText(ratio, 2),
    ]),
  );
