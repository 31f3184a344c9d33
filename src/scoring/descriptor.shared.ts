import { freshShape, keysWireBytes, resultShape, type Shape, wireBytes } from './blob.shared.ts';
import { FRAME_HEAD } from './frame.shared.ts';
import { type ParameterSet, slotsOf } from './parameters.shared.ts';

export type ScoreKind = 'linear' | 'logistic' | 'mlp-square' | 'logistic-poly';
export type Mode = 'single' | 'batch';

export interface Feature {
  readonly name: string;
  readonly mean: number;
  readonly scale: number;
  /** Least and largest standardised value; what lies outside is set to the nearer one. */
  readonly clip: readonly [number, number];
}

/** What everybody who may use a model is told about it: all that a client needs, and no weight. */
export interface Descriptor {
  readonly id: string;
  readonly version: number;
  readonly title: string;
  readonly kind: ScoreKind;
  /** SHA-256 of the model's document, hex. */
  readonly sha256: string;
  readonly params: string;
  readonly params_sha256: string;
  readonly features: readonly Feature[];
  /** `logit`: the score is 1 / (1 + e^-z), worked out by the client after decryption. */
  readonly link: 'logit' | 'none';
  /** Digits after the point in everything that is shown, copied or exported. */
  readonly decimals: number;
  readonly modes: readonly Mode[];
}

/** A row of raw features in the descriptor's order, standardised and clipped. @throws RangeError naming the feature. */
export function standardise({ features }: Descriptor, row: readonly number[]): Float64Array {
  if (row.length !== features.length) throw new RangeError(`${features.length} features were expected`);
  return Float64Array.from(features, ({ name, mean, scale, clip: [low, high] }, index) => {
    const value = row[index] as number;
    if (!Number.isFinite(value)) throw new RangeError(`${name} is not a number`);
    return Math.min(high, Math.max(low, (value - mean) / scale));
  });
}

/** A decrypted number after the model's link function. */
export const linked = ({ link }: Descriptor, value: number): number =>
  link === 'logit' ? 1 / (1 + Math.exp(-value)) : value;

/** More digits than these would tell about the secret key (CPA-D), whatever a server says. */
const MOST_DECIMALS = 4;

/** What may be seen of a score. */
export function rounded({ decimals }: Descriptor, score: number): number {
  const unit = 10 ** Math.min(decimals, MOST_DECIMALS);
  return Math.round(score * unit) / unit;
}

/** Width of the repeated vector of one customer: the next power of two, and never one alone. */
export const widthOf = ({ features }: Pick<Descriptor, 'features'>): number =>
  2 ** Math.ceil(Math.log2(Math.max(2, features.length)));

/** Rotations that scoring one customer needs, in the order in which their keys travel. */
export function rotationSteps(descriptor: Pick<Descriptor, 'features' | 'modes'>): number[] {
  if (!descriptor.modes.includes('single')) return [];
  return Array.from({ length: Math.log2(widthOf(descriptor)) }, (_, power) => 2 ** power);
}

/** Ciphertexts of one request. */
export const objectsOf = ({ features }: Pick<Descriptor, 'features'>, mode: Mode): number =>
  mode === 'single' ? 1 : features.length;

/** The exact length of a request's frame. */
export const requestBytes = (set: ParameterSet, descriptor: Pick<Descriptor, 'features'>, mode: Mode): number =>
  FRAME_HEAD + objectsOf(descriptor, mode) * wireBytes(set, freshShape(set));

/** The exact length of the frame that opens a session. */
export const sessionBytes = (set: ParameterSet, descriptor: Pick<Descriptor, 'features' | 'modes'>): number =>
  FRAME_HEAD + keysWireBytes(set, rotationSteps(descriptor).length);

/**
 * The shape in which a result comes back. What has been squared or cubed keeps its further polynomials, so that nobody needs
 * a key to bring them down to two.
 */
export function resultOf(set: ParameterSet, kind: ScoreKind): Shape {
  const scale = 2 ** set.scaleBits;
  const [, second, third] = set.primes as readonly [number, number, number];
  switch (kind) {
    case 'mlp-square':
      return resultShape(set, 3, 1, (scale * scale) / second);
    case 'logistic-poly':
      // Not brought down once more: rounding four polynomials would cost the fourth digit.
      return resultShape(set, 4, 2, ((scale * scale) / third) * scale);
    default:
      return resultShape(set, 2, 1, scale);
  }
}

/** Customers that fit into one batch. */
export const batchSize = slotsOf;
