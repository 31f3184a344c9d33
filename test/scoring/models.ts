import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import initialize from 'node-seal';
import type { ScoreModelDocument } from '#scoring/score-model.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';

export const openSeal = async (): Promise<SecretSeal> => (await initialize()) as unknown as SecretSeal;

/** Numbers that look random and are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const FEATURES = 32;
const PARAMS = {
  linear: 'lin-4096/1',
  logistic: 'lin-4096/1',
  'mlp-square': 'quad-8192/1',
  'logistic-poly': 'std-8192/1',
} as const;
const CLIP: readonly [number, number] = [-3, 3];

/** A model of 32 features whose weights are made up. */
export function madeModel(
  kind: ScoreModelDocument['kind'],
  change: Partial<ScoreModelDocument> = {},
): ScoreModelDocument {
  const next = numbers(7);
  const some = (scale: number) => (next() - 0.5) * scale;
  const hidden = Array.from({ length: 16 }, () => Array.from({ length: FEATURES }, () => some(0.2)));
  return {
    id: 'made',
    version: 1,
    title: 'Made for a test',
    kind,
    params: PARAMS[kind],
    features: Array.from({ length: FEATURES }, (_, index) => ({
      name: `f${index}`,
      mean: some(10),
      scale: 1 + next(),
      clip: CLIP,
    })),
    weights: kind === 'mlp-square' ? hidden.map(() => some(1)) : Array.from({ length: FEATURES }, () => some(0.5)),
    ...(kind === 'mlp-square' ? { hidden: { weights: hidden, biases: hidden.map(() => some(1)) } } : {}),
    ...(kind === 'logistic-poly' ? { polynomial: { c0: 0.5, c1: 0.1935, c3: -0.0041, interval: 16 } } : {}),
    bias: -0.7,
    link: kind === 'logistic' ? 'logit' : 'none',
    decimals: 4,
    provenance: 'made',
    testVectors: [],
    ...change,
  };
}

/** Customers whose standardised features reach a little beyond the clip. */
export function madeRows({ features }: ScoreModelDocument, count: number, seed = 1): number[][] {
  const next = numbers(seed);
  return Array.from({ length: count }, () =>
    features.map(({ mean, scale }) => mean + (next() - 0.5) * 2 * 3.3 * scale),
  );
}

export const CREDIT_RISK = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../models/demo/credit-risk/credit-risk.json'), 'utf8'),
) as ScoreModelDocument;

export const SESSION = '0'.repeat(32);
