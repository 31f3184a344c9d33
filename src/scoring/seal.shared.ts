/**
 * The part of SEAL's API (node-seal 7) that Strongroom uses, as both sides see it. What makes or uses a secret key stands
 * in `secret.shared.ts`, which the gateway and its evaluator never import.
 */

/** Every object lives in WebAssembly's memory, which nobody collects: what is made must be deleted. */
export interface Handle {
  delete(): void;
}
/** The four words of a parameter set's hash. */
interface ParmsId extends Handle {
  values(): BigUint64Array;
}
interface Vector<T> extends Handle {
  push_back(value: T): void;
  size(): number;
  get(index: number): T | undefined;
}
interface Modulus extends Handle {
  value(): bigint;
}
interface EncryptionParameters extends Handle {
  setPolyModulusDegree(degree: number): void;
  setCoeffModulus(primes: Vector<Modulus>): void;
}
/** One level of the modulus; the next one has a prime less. */
interface ContextData extends Handle {
  parmsId(): ParmsId;
  nextContextData(): ContextData;
}
export interface SealContext extends Handle {
  parametersSet(): boolean;
  keyContextData(): ContextData;
}
interface Stored extends Handle {
  /** Only a plain Uint8Array is taken, no Buffer. */
  loadFromArray(context: SealContext, bytes: Uint8Array): void;
  saveToArray(mode: unknown): Uint8Array;
}
export interface Ciphertext extends Stored {
  setScale(scale: number): void;
}
export interface Plaintext extends Stored {}
export interface GaloisKeys extends Stored {}
export interface Encoder extends Handle {
  encode(values: Float64Array, scale: number, out: Plaintext): void;
  decodeFloat64(plain: Plaintext): Float64Array;
}
export interface Evaluator extends Handle {
  addInplace(into: Ciphertext, other: Ciphertext): void;
  subInplace(into: Ciphertext, other: Ciphertext): void;
  addPlainInplace(into: Ciphertext, plain: Plaintext): void;
  multiplyPlain(cipher: Ciphertext, plain: Plaintext, out: Ciphertext): void;
  negateInplace(cipher: Ciphertext): void;
  squareInplace(cipher: Ciphertext): void;
  square(cipher: Ciphertext, out: Ciphertext): void;
  multiplyInplace(into: Ciphertext, other: Ciphertext): void;
  cipherModSwitchToNextInplace(cipher: Ciphertext): void;
  rescaleToNextInplace(cipher: Ciphertext): void;
  rotateVector(cipher: Ciphertext, steps: number, keys: GaloisKeys, out: Ciphertext): void;
}

/** The module that node-seal's initialiser gives. */
export interface Seal {
  readonly SchemeType: { readonly ckks: unknown };
  readonly SecLevelType: { readonly tc128: unknown };
  readonly ComprModeType: { readonly none: unknown };
  readonly VectorModulus: new () => Vector<Modulus>;
  readonly Modulus: new (value: bigint) => Modulus;
  readonly EncryptionParameters: new (scheme: unknown) => EncryptionParameters;
  readonly SEALContext: new (parameters: EncryptionParameters, chain: boolean, level: unknown) => SealContext;
  readonly CKKSEncoder: new (context: SealContext) => Encoder;
  readonly Evaluator: new (context: SealContext) => Evaluator;
  readonly Plaintext: new () => Plaintext;
  readonly Ciphertext: new () => Ciphertext;
  readonly GaloisKeys: new () => GaloisKeys;
  getExceptionMessage(thrown: unknown): readonly [type: string, message: string];
  decrementExceptionRefcount(thrown: unknown): void;
}
