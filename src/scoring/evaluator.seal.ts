import { blobToWire, constantToBlob, freshShape, keysToBlob, wireBytes, wireToBlob } from './blob.shared.ts';
import { type Mode, resultOf } from './descriptor.shared.ts';
import { openContext, type PinnedSet, setOf, slotsOf } from './parameters.shared.ts';
import type { EvaluationPlan } from './score-model.ts';
import type {
  Ciphertext,
  Encoder,
  GaloisKeys,
  Handle,
  Plaintext,
  Seal,
  SealContext,
  Evaluator as SealEvaluator,
} from './seal.shared.ts';

/** What came over the wire is not what was agreed: told to the caller, never a fault of ours. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
}

/** A session's evaluation keys inside SEAL. */
export interface RotationKeys {
  readonly keys: GaloisKeys;
  readonly steps: readonly number[];
}

/** Scores ciphertexts of one parameter set. It has no key: it can not see what it computes. */
export class Evaluator {
  readonly #seal: Seal;
  readonly #set: PinnedSet;
  readonly #context: SealContext;
  readonly #encoder: Encoder;
  readonly #evaluator: SealEvaluator;

  /** Takes 60 to 270 ms: made once per process. @throws Error for a parameter set that is not ours. */
  constructor(seal: Seal, params: string) {
    const set = setOf(params);
    this.#seal = seal;
    this.#set = set;
    this.#context = openContext(seal, set);
    this.#encoder = new seal.CKKSEncoder(this.#context);
    this.#evaluator = new seal.Evaluator(this.#context);
  }

  /** The payload of the result's frame. @throws WireFault for residues out of range and objects of another size. */
  evaluate(plan: EvaluationPlan, mode: Mode, payload: Uint8Array, keys: RotationKeys | null): Uint8Array {
    using scope = new Scope(this.#seal);
    const inputs = this.#fresh(payload, scope);
    const result =
      plan.kind === 'mlp-square'
        ? this.#squares(plan, inputs, scope)
        : plan.kind === 'logistic-poly'
          ? this.#cubic(plan, inputs, scope)
          : mode === 'single'
            ? this.#oneCustomer(plan, inputs, keys, scope)
            : this.#weighted(inputs, plan.rows[0] ?? [], scope);
    const shape = resultOf(this.#set, plan.kind);
    // Known beforehand by both sides; what SEAL has multiplied together may differ in its last bits.
    result.setScale(shape.scale);
    this.#add(result, plan.bias, shape.scale, shape.primes.length, scope);
    return blobToWire(this.#set, shape, result.saveToArray(this.#seal.ComprModeType.none));
  }

  /** Loads a session's keys; the caller deletes them. @throws WireFault for residues out of range. */
  rotationKeys(wire: Uint8Array, steps: readonly number[]): RotationKeys {
    const blob = keysToBlob(this.#set, steps, wire);
    if (blob === null) throw new WireFault('a residue of the keys is not below its prime');
    const keys = new this.#seal.GaloisKeys();
    keys.loadFromArray(this.#context, blob);
    return { keys, steps };
  }

  /** w x of one customer: after the rotations every slot holds the whole sum. */
  #oneCustomer(
    { rows: [weights = []] }: EvaluationPlan,
    [cipher]: readonly Ciphertext[],
    rotations: RotationKeys | null,
    scope: Scope,
  ): Ciphertext {
    if (cipher === undefined || rotations === null) throw new WireFault('one ciphertext and keys were expected');
    const { keys, steps } = rotations;
    const width = 2 ** steps.length;
    const slots = Float64Array.from({ length: slotsOf(this.#set) }, (_, slot) => weights[slot % width] ?? 0);
    const plain = scope.plaintext();
    this.#encoder.encode(slots, this.#lastPrime, plain);
    this.#evaluator.multiplyPlain(cipher, plain, cipher);
    this.#evaluator.rescaleToNextInplace(cipher);
    const rotated = scope.ciphertext();
    for (const step of steps) {
      this.#evaluator.rotateVector(cipher, step, keys, rotated);
      this.#evaluator.addInplace(cipher, rotated);
    }
    return cipher;
  }

  /** w x, each feature a ciphertext of many customers: nothing is rotated, no key is needed. */
  #weighted(inputs: readonly Ciphertext[], weights: readonly number[], scope: Scope): Ciphertext {
    const plain = scope.plaintext();
    const term = scope.ciphertext();
    let sum: Ciphertext | null = null;
    inputs.forEach((input, feature) => {
      const weight = weights[feature] ?? 0;
      // SEAL refuses a product that is zero whatever was encrypted.
      if (Math.round(weight * this.#lastPrime) === 0) return;
      this.#load(plain, weight, this.#lastPrime, this.#set.primes.length - 1);
      if (sum === null) {
        sum = scope.ciphertext();
        this.#evaluator.multiplyPlain(input, plain, sum);
      } else {
        this.#evaluator.multiplyPlain(input, plain, term);
        this.#evaluator.addInplace(sum, term);
      }
    });
    if (sum === null) throw new RangeError('a model without weights is never installed');
    this.#evaluator.rescaleToNextInplace(sum);
    return sum;
  }

  /** The sum of signed squares. Its third polynomial stays: the client decrypts it as it is, and no key is needed. */
  #squares({ rows, biases, signs }: EvaluationPlan, inputs: readonly Ciphertext[], scope: Scope): Ciphertext {
    const scale = 2 ** this.#set.scaleBits;
    const sums = new Map<1 | -1, Ciphertext>();
    rows.forEach((row, unit) => {
      using inner = new Scope(this.#seal);
      const hidden = this.#weighted(inputs, row, inner);
      hidden.setScale(scale);
      this.#add(hidden, biases[unit] ?? 0, scale, this.#set.primes.length - 2, inner);
      this.#evaluator.squareInplace(hidden);
      const sign = signs[unit] ?? 1;
      const sum = sums.get(sign);
      if (sum === undefined) sums.set(sign, scope.keep(inner.release(hidden)));
      else this.#evaluator.addInplace(sum, hidden);
    });
    const [plus, minus] = [sums.get(1), sums.get(-1)];
    if (plus !== undefined && minus !== undefined) this.#evaluator.subInplace(plus, minus);
    else if (minus !== undefined) this.#evaluator.negateInplace(minus);
    const total = plus ?? minus;
    if (total === undefined) throw new RangeError('a model without weights is never installed');
    this.#evaluator.rescaleToNextInplace(total);
    return total;
  }

  /** u^3 + slope u, whose four polynomials stay: again no key is needed. */
  #cubic(
    { rows: [row = []], biases: [offset = 0], slope }: EvaluationPlan,
    inputs: readonly Ciphertext[],
    scope: Scope,
  ): Ciphertext {
    const scale = 2 ** this.#set.scaleBits;
    const value = this.#weighted(inputs, row, scope);
    value.setScale(scale);
    this.#add(value, offset, scale, 3, scope);
    const cube = scope.ciphertext();
    this.#evaluator.square(value, cube);
    this.#evaluator.rescaleToNextInplace(cube);
    const squareScale = (scale * scale) / (this.#set.primes[2] as number);
    cube.setScale(squareScale);
    this.#evaluator.cipherModSwitchToNextInplace(value);
    this.#evaluator.multiplyInplace(cube, value);
    if (Math.round(slope * squareScale) === 0) return cube;
    // Encoded at the scale of the square, so that the line has the scale of the cube.
    const plain = scope.plaintext();
    this.#load(plain, slope, squareScale, 2);
    this.#evaluator.multiplyPlain(value, plain, value);
    this.#evaluator.addInplace(cube, value);
    return cube;
  }

  /** The prime that the next rescaling divides by: weights encoded at it leave the scale as it was. */
  get #lastPrime(): number {
    return this.#set.primes[this.#set.primes.length - 2] as number;
  }

  #add(cipher: Ciphertext, value: number, scale: number, primes: number, scope: Scope): void {
    if (Math.round(value * scale) === 0) return;
    const plain = scope.plaintext();
    this.#load(plain, value, scale, primes);
    this.#evaluator.addPlainInplace(cipher, plain);
  }

  #load(plain: Plaintext, value: number, scale: number, primes: number): void {
    plain.loadFromArray(this.#context, constantToBlob(this.#set, primes, value, scale));
  }

  #fresh(payload: Uint8Array, scope: Scope): Ciphertext[] {
    const shape = freshShape(this.#set);
    const size = wireBytes(this.#set, shape);
    if (payload.length === 0 || payload.length % size !== 0) throw new WireFault('objects of another size');
    return Array.from({ length: payload.length / size }, (_, index) => {
      const blob = wireToBlob(this.#set, shape, payload.subarray(index * size, (index + 1) * size));
      if (blob === null) throw new WireFault('a residue is not below its prime');
      const cipher = scope.ciphertext();
      cipher.loadFromArray(this.#context, blob);
      return cipher;
    });
  }
}

/** Deletes at its end what was made in it: WebAssembly's memory is collected by nobody. */
class Scope implements Disposable {
  readonly #seal: Seal;
  readonly #held = new Set<Handle>();

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  ciphertext(): Ciphertext {
    return this.keep(new this.#seal.Ciphertext());
  }

  plaintext(): Plaintext {
    return this.keep(new this.#seal.Plaintext());
  }

  keep<T extends Handle>(handle: T): T {
    this.#held.add(handle);
    return handle;
  }

  /** Hands it over to another scope. */
  release<T extends Handle>(handle: T): T {
    this.#held.delete(handle);
    return handle;
  }

  [Symbol.dispose](): void {
    for (const handle of this.#held) handle.delete();
  }
}
