import type { Descriptor, Feature, ScoreKind } from './descriptor.shared.ts';
import { type PinnedSet, parameterSet, setOf } from './parameters.shared.ts';

/** A `score-model/1` document, after its schema. */
export interface ScoreModelDocument {
  readonly id: string;
  readonly version: number;
  readonly title: string;
  readonly kind: ScoreKind;
  readonly params: string;
  readonly features: readonly (Omit<Feature, 'clip'> & { readonly clip: readonly [number, number] })[];
  readonly weights: readonly number[];
  readonly bias: number;
  readonly hidden?: { readonly weights: readonly (readonly number[])[]; readonly biases: readonly number[] };
  readonly polynomial?: Polynomial;
  readonly link: 'logit' | 'none';
  readonly decimals: number;
  readonly provenance: string;
  readonly testVectors: readonly { readonly x: readonly number[]; readonly score: number }[];
}

/** c0 + c1 z + c3 z^3, which stands for a sigmoid between -interval and interval. */
export interface Polynomial {
  readonly c0: number;
  readonly c1: number;
  readonly c3: number;
  readonly interval: number;
}

/** What the evaluator computes: numbers only, in the scale of standardised features. */
export interface EvaluationPlan {
  readonly kind: ScoreKind;
  readonly params: string;
  /** One row for a linear model; a row per hidden unit otherwise, folded so that only signs are left outside. */
  readonly rows: readonly (readonly number[])[];
  readonly biases: readonly number[];
  readonly signs: readonly (1 | -1)[];
  /** Added at the end. */
  readonly bias: number;
  /** Of a cubic: what the row's own value is multiplied by beside its cube. */
  readonly slope: number;
}

/** Everything that is wrong with a document, as sentences; empty when it may go on to the self-test. */
export function modelFaults(model: ScoreModelDocument): string[] {
  const faults: string[] = [];
  const width = model.features.length;
  const set = parameterSet(model.params);
  if (set === undefined) return [`the parameter set ${model.params} is not known`];
  const names = new Set(model.features.map(({ name }) => name));
  if (names.size !== width) faults.push('two features have the same name');
  for (const { name, clip } of model.features) {
    if (clip[0] >= clip[1]) faults.push(`${name}: its clip is empty`);
  }
  const hidden = model.hidden;
  if (hidden === undefined) {
    if (model.weights.length !== width) faults.push('there must be one weight for each feature');
  } else {
    if (hidden.weights.some((row) => row.length !== width)) faults.push('each hidden unit needs a weight per feature');
    if (hidden.biases.length !== hidden.weights.length || model.weights.length !== hidden.weights.length) {
      faults.push('there must be one bias and one outer weight for each hidden unit');
    }
  }
  model.testVectors.forEach(({ x, score }, index) => {
    if (x.length !== width) faults.push(`test vector ${index} has ${x.length} features instead of ${width}`);
    else if (faults.length === 0 && Math.abs(plainScore(model, x) - score) > 1e-9) {
      faults.push(`test vector ${index} says ${score}, the weights give ${plainScore(model, x)}`);
    }
  });
  if (faults.length > 0) return faults;
  if (planOf(model).rows.every((row) => row.every((weight) => weight === 0))) return ['all weights are zero'];
  return [...faults, ...boundFaults(model, set)];
}

/** A score beyond the modulus would wrap around to another one, unseen by anybody. */
function boundFaults(model: ScoreModelDocument, set: PinnedSet): string[] {
  const { rows, biases, bias } = planOf(model);
  const reach = reachOf(model);
  const bounds = rows.map((row, unit) =>
    row.reduce(
      (sum, weight, feature) => sum + Math.abs(weight) * (reach[feature] as number),
      Math.abs(biases[unit] ?? 0),
    ),
  );
  if (model.polynomial !== undefined) return intervalFaults(model, model.polynomial, set);
  const squared = model.kind === 'mlp-square';
  const total = bounds.reduce((sum, bound) => sum + (squared ? bound * bound : bound), Math.abs(bias));
  return total < set.maxAbsScore
    ? []
    : [
        `a score could reach ${total.toPrecision(3)}, and ${set.id} carries less than ${set.maxAbsScore}: clip narrower`,
      ];
}

const reachOf = ({ features }: ScoreModelDocument): number[] =>
  features.map(({ clip: [low, high] }) => Math.max(Math.abs(low), Math.abs(high)));

/** Outside its interval a polynomial is no sigmoid: the sum must not get there, whatever comes in. */
function intervalFaults(model: ScoreModelDocument, { interval, c0, c1, c3 }: Polynomial, set: PinnedSet): string[] {
  const reach = reachOf(model);
  const sum = model.weights.reduce(
    (total, weight, index) => total + Math.abs(weight) * (reach[index] ?? 0),
    Math.abs(model.bias),
  );
  if (sum > interval) {
    return [
      `the sum could reach ${sum.toPrecision(3)}, beyond the interval ${interval} of the polynomial: clip narrower`,
    ];
  }
  const most = Math.abs(c0) + Math.abs(c1) * interval + Math.abs(c3) * interval ** 3;
  return most < set.maxAbsScore
    ? []
    : [`a score could reach ${most.toPrecision(3)}, and ${set.id} carries less than ${set.maxAbsScore}`];
}

/**
 * The computation, with each outer weight of a squared layer folded into its row: v (w x + b)^2 is the sign of v times
 * (sqrt|v| w x + sqrt|v| b)^2. One multiplication less, and so a level less.
 */
export function planOf({ kind, params, weights, bias, hidden, polynomial }: ScoreModelDocument): EvaluationPlan {
  if (polynomial !== undefined) {
    // The cube's factor goes into the weights as its cube root: one multiplication less, and so a level less.
    const root = Math.cbrt(polynomial.c3);
    const rows = [weights.map((weight) => weight * root)];
    return { kind, params, rows, biases: [bias * root], signs: [1], bias: polynomial.c0, slope: polynomial.c1 / root };
  }
  if (kind !== 'mlp-square' || hidden === undefined) {
    return { kind, params, rows: [weights], biases: [0], signs: [1], bias, slope: 0 };
  }
  const units = weights.map((outer, unit) => ({
    outer,
    row: hidden.weights[unit] ?? [],
    offset: hidden.biases[unit] ?? 0,
  }));
  // A unit that sees no feature is a constant; multiplied in, it would be a ciphertext that hides nothing.
  const blind = units.filter(({ outer, row }) => outer === 0 || row.every((weight) => weight === 0));
  const seeing = units.filter((unit) => !blind.includes(unit));
  const fold = (value: number, outer: number) => value * Math.sqrt(Math.abs(outer));
  return {
    kind,
    params,
    rows: seeing.map(({ outer, row }) => row.map((weight) => fold(weight, outer))),
    biases: seeing.map(({ outer, offset }) => fold(offset, outer)),
    signs: seeing.map(({ outer }) => (outer < 0 ? -1 : 1)),
    bias: blind.reduce((sum, { outer, offset }) => sum + outer * offset * offset, bias),
    slope: 0,
  };
}

/** The score in plain arithmetic: what the encrypted one is held against. Takes raw features. */
export function plainScore(model: ScoreModelDocument, raw: readonly number[]): number {
  const x = model.features.map(({ mean, scale, clip: [low, high] }, index) =>
    Math.min(high, Math.max(low, ((raw[index] as number) - mean) / scale)),
  );
  const dot = (row: readonly number[]) => row.reduce((sum, weight, index) => sum + weight * (x[index] as number), 0);
  const { hidden } = model;
  const value =
    hidden === undefined
      ? dot(model.weights) + model.bias
      : hidden.weights.reduce(
          (sum, row, unit) => sum + (model.weights[unit] as number) * (dot(row) + (hidden.biases[unit] as number)) ** 2,
          model.bias,
        );
  if (model.polynomial !== undefined) {
    const { c0, c1, c3 } = model.polynomial;
    return c0 + c1 * value + c3 * value ** 3;
  }
  return model.link === 'logit' ? 1 / (1 + Math.exp(-value)) : value;
}

/** What callers may know of a model: no weight, no bias, no test vector. */
export function descriptorOf(model: ScoreModelDocument, sha256: string): Descriptor {
  const set = setOf(model.params);
  return {
    id: model.id,
    version: model.version,
    title: model.title,
    kind: model.kind,
    sha256,
    params: set.id,
    params_sha256: set.sha256,
    features: model.features,
    link: model.link,
    decimals: model.decimals,
    modes: model.kind === 'linear' || model.kind === 'logistic' ? ['single', 'batch'] : ['batch'],
  };
}
