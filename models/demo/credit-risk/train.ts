/**
 * Trains the built-in score model on synthetic customers: `node src/strongroom.mjs --node models/demo/credit-risk/train.ts`.
 * Deterministic: the same files on every machine. Nothing of it is needed to run the gateway.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SEED = 20_261_121;
const CUSTOMERS = 40_000;
const RIDGE = 1;
const ROUNDS = 12;

/** Uniform numbers in (0, 1), the same everywhere (mulberry32). */
function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 4_294_967_296;
  };
}
const uniform = uniforms(SEED);
const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
const poisson = (mean: number): number => {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = uniform(); product > limit; product *= uniform()) count++;
  return count;
};
const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

const FEATURES = [
  'age_years',
  'income_monthly',
  'months_at_employer',
  'months_as_customer',
  'debt_to_income',
  'card_utilisation',
  'open_loans',
  'late_payments_12m',
  'late_payments_36m',
  'inquiries_6m',
  'savings_months',
  'months_since_delinquency',
  'overdraft_days_12m',
  'credit_lines',
  'secured_share',
  'income_volatility',
] as const;

interface Customer {
  readonly x: readonly number[];
  readonly bad: 0 | 1;
}

/** A customer of a made-up bank. What decides over him is partly what no feature shows, as it is in life. */
function customer(): Customer {
  const prudence = normal();
  const age = clamp(41 + 12 * normal(), 18, 80);
  const income = Math.exp(8.9 + 0.45 * normal() + 0.1 * prudence);
  const employed = clamp((age - 18) * 12 * uniform() ** 1.6, 0, 480);
  const relation = clamp((age - 16) * 12 * uniform() ** 1.3, 1, 600);
  const debt = clamp(0.32 + 0.16 * normal() - 0.06 * prudence, 0, 1.2);
  const utilisation = clamp(0.42 + 0.26 * normal() - 0.12 * prudence, 0, 1.3);
  const loans = poisson(1.3);
  const late12 = poisson(Math.exp(-1.2 - 0.7 * prudence + 0.5 * utilisation));
  const late36 = late12 + poisson(Math.exp(-0.7 - 0.6 * prudence));
  const inquiries = poisson(Math.exp(-0.2 - 0.3 * prudence));
  const savings = clamp(Math.exp(0.6 + 0.8 * normal() + 0.5 * prudence), 0, 36);
  const clean = late36 > 0 ? clamp(30 * uniform(), 0, 36) : 36;
  const overdraft = poisson(Math.exp(0.9 - 0.8 * prudence));
  const lines = 1 + poisson(2.4);
  const secured = clamp(0.4 + 0.3 * normal(), 0, 1);
  const volatility = clamp(0.18 + 0.1 * normal() - 0.02 * prudence, 0, 0.8);
  const z =
    -2.6 -
    0.45 * prudence +
    1.5 * (debt - 0.32) * 2 +
    1.1 * (utilisation - 0.4) * 2 +
    0.55 * Math.min(late12, 4) +
    0.16 * Math.min(late36, 8) +
    0.14 * inquiries -
    0.22 * Math.log1p(savings) -
    0.0016 * employed -
    0.0008 * relation -
    0.012 * (age - 41) +
    0.03 * overdraft +
    0.9 * (volatility - 0.18) * 2 -
    0.35 * (Math.log(income) - 8.9) +
    0.12 * loans -
    0.25 * secured +
    0.5 * normal();
  const raw = [
    age,
    income,
    employed,
    relation,
    debt,
    utilisation,
    loans,
    late12,
    late36,
    inquiries,
    savings,
    clean,
    overdraft,
    lines,
    secured,
    volatility,
  ];
  return { x: raw.map((value) => Math.round(value * 1000) / 1000), bad: uniform() < sigmoid(z) ? 1 : 0 };
}

const customers = Array.from({ length: CUSTOMERS }, customer);
const train = customers.filter((_, index) => index % 4 !== 0);
const held = customers.filter((_, index) => index % 4 === 0);

const width = FEATURES.length;
const round = (value: number, digits = 6): number => Number(value.toFixed(digits));
const column = (feature: number): number[] => train.map(({ x }) => x[feature] as number);
const features = FEATURES.map((name, feature) => {
  const values = column(feature);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const scale = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return { name, mean: round(mean), scale: round(scale), clip: [-3.5, 3.5] as const };
});
const standard = (x: readonly number[]): number[] =>
  features.map(({ mean, scale, clip: [low, high] }, index) => clamp(((x[index] as number) - mean) / scale, low, high));

/** Solves a x = b for a symmetric positive matrix, by Gauss. */
function solve(a: number[][], b: number[]): number[] {
  const rows = a.map((row, index) => [...row, b[index] as number]);
  rows.forEach((pivotRow, pivot) => {
    for (let other = pivot + 1; other < rows.length; other++) {
      const row = rows[other] as number[];
      const factor = (row[pivot] as number) / (pivotRow[pivot] as number);
      for (let at = pivot; at < row.length; at++) row[at] = (row[at] as number) - factor * (pivotRow[at] as number);
    }
  });
  const x = new Array<number>(rows.length).fill(0);
  for (let index = rows.length - 1; index >= 0; index--) {
    const row = rows[index] as number[];
    let sum = row[rows.length] as number;
    for (let at = index + 1; at < rows.length; at++) sum -= (row[at] as number) * (x[at] as number);
    x[index] = sum / (row[index] as number);
  }
  return x;
}

/** Logistic regression by Newton's method, with a ridge on everything but the bias. */
function fit(): number[] {
  const rows = train.map(({ x }) => [...standard(x), 1]);
  let weights = new Array<number>(width + 1).fill(0);
  for (let step = 0; step < ROUNDS; step++) {
    const gradient = weights.map((weight, index) => (index === width ? 0 : -RIDGE * weight));
    const hessian = weights.map((_, row) => weights.map((_, at) => (row === at && row !== width ? RIDGE : 0)));
    rows.forEach((row, index) => {
      const p = sigmoid(row.reduce((sum, value, at) => sum + value * (weights[at] as number), 0));
      const error = (train[index] as Customer).bad - p;
      const curve = p * (1 - p);
      row.forEach((value, at) => {
        gradient[at] = (gradient[at] as number) + error * value;
        const line = hessian[at] as number[];
        for (let other = 0; other <= width; other++)
          line[other] = (line[other] as number) + curve * value * (row[other] as number);
      });
    });
    const change = solve(hessian, gradient);
    weights = weights.map((weight, index) => weight + (change[index] as number));
  }
  return weights.map((weight) => round(weight));
}

const fitted = fit();
const [weights, bias] = [fitted.slice(0, width), fitted[width] as number];
const scoreOf = (x: readonly number[]): number =>
  sigmoid(standard(x).reduce((sum, value, index) => sum + value * (weights[index] as number), bias));

const scored = held.map(({ x, bad }) => ({ score: scoreOf(x), bad })).sort((a, b) => b.score - a.score);
const bads = scored.filter(({ bad }) => bad === 1).length;
const goods = scored.length - bads;

/** The curve of true against false positives, and the area below it. */
const roc: [number, number][] = [[0, 0]];
let [truePositives, falsePositives, area, ks] = [0, 0, 0, 0];
for (const { bad } of scored) {
  if (bad === 1) truePositives++;
  else {
    falsePositives++;
    area += truePositives / bads / goods;
  }
  roc.push([falsePositives / goods, truePositives / bads]);
  ks = Math.max(ks, truePositives / bads - falsePositives / goods);
}
const brier = scored.reduce((sum, { score, bad }) => sum + (score - bad) ** 2, 0) / scored.length;
const BINS = 10;
const ascending = [...scored].reverse();
const calibration = Array.from({ length: BINS }, (_, bin) => {
  const part = ascending.slice((bin * scored.length) / BINS, ((bin + 1) * scored.length) / BINS);
  return {
    expected: part.reduce((sum, { score }) => sum + score, 0) / part.length,
    observed: part.filter(({ bad }) => bad === 1).length / part.length,
  };
});

const model = {
  schema: 'score-model/1',
  id: 'credit-risk',
  version: 1,
  title: 'Credit risk (demonstration)',
  kind: 'logistic',
  params: 'lin-4096/1',
  features,
  weights,
  bias,
  link: 'logit',
  decimals: 4,
  provenance:
    'A demonstration. Logistic regression on 30,000 synthetic customers, made and trained by models/demo/credit-risk/train.ts; no real person and no real bank is in it. Not for decisions about people.',
  testVectors: held.slice(0, 12).map(({ x }) => ({ x, score: scoreOf(x) })),
};

const SIDE = 320;
const PAD = 44;
const at = (x: number, y: number): string => `${(PAD + x * SIDE).toFixed(1)},${(PAD / 2 + (1 - y) * SIDE).toFixed(1)}`;
function plot(title: string, axes: readonly [string, string], top: number, body: string): string {
  const [bottom, left] = [PAD / 2 + SIDE, PAD];
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .map(
      (tick) =>
        `<text x="${left + tick * SIDE}" y="${bottom + 16}" text-anchor="middle">${round(tick * top, 3)}</text>` +
        `<text x="${left - 6}" y="${bottom - tick * SIDE + 4}" text-anchor="end">${round(tick * top, 3)}</text>`,
    )
    .join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE + 2 * PAD}" height="${SIDE + PAD * 1.6}" font-family="sans-serif" font-size="11" fill="#444">
<title>${title}</title><rect width="100%" height="100%" fill="#fff"/>
<path d="M${at(0, 1)} ${at(0, 0)} ${at(1, 0)}" fill="none" stroke="#444"/><path d="M${at(0, 0)} ${at(1, 1)}" stroke="#bbb" stroke-dasharray="4 4"/>
${ticks}<text x="${left + SIDE / 2}" y="${bottom + 34}" text-anchor="middle">${axes[0]}</text>
<text transform="translate(12 ${PAD / 2 + SIDE / 2}) rotate(-90)" text-anchor="middle">${axes[1]}</text>
${body}</svg>
`;
}
const thinned = roc.filter((_, index) => index % 50 === 0 || index === roc.length - 1);
const rocSvg = plot(
  'ROC of the credit-risk model',
  ['false positives', 'true positives'],
  1,
  `<path d="M${thinned.map(([x, y]) => at(x, y)).join(' ')}" fill="none" stroke="#0b6b5d" stroke-width="2"/>`,
);
const top = Math.ceil(Math.max(...calibration.flatMap(({ expected, observed }) => [expected, observed])) * 10) / 10;
const calibrationSvg = plot(
  'Calibration of the credit-risk model, by tenths',
  ['mean score', 'share that defaulted'],
  top,
  calibration
    .map(({ expected, observed }) => {
      const [x, y] = at(expected / top, observed / top).split(',');
      return `<circle cx="${x}" cy="${y}" r="4" fill="#0b6b5d"/>`;
    })
    .join(''),
);

const folder = import.meta.dirname;
writeFileSync(join(folder, 'credit-risk.json'), `${JSON.stringify(model, null, 2)}\n`);
writeFileSync(join(folder, 'roc.svg'), rocSvg);
writeFileSync(join(folder, 'calibration.svg'), calibrationSvg);
const names = FEATURES.join(',');
const sample = held.slice(100, 2100).map(({ x }, index) => `C${String(index + 1).padStart(5, '0')},${x.join(',')}`);
writeFileSync(join(folder, 'customers.csv'), `customer,${names}\n${sample.join('\n')}\n`);
console.log(
  JSON.stringify(
    {
      customers: CUSTOMERS,
      held: held.length,
      defaults: round(bads / held.length, 4),
      auc: round(area, 4),
      ks: round(ks, 4),
      brier: round(brier, 4),
      calibration: calibration.map(({ expected, observed }) => [round(expected, 3), round(observed, 3)]),
    },
    null,
    1,
  ),
);
