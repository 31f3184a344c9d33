import { fromHex } from '#kernel/bytes.ts';
import { pack, packedBytes, unpack } from './packing.shared.ts';
import { dataPrimes, levelOf, type ParameterSet } from './parameters.shared.ts';

/**
 * SEAL's own serialisation, uncompressed, as SEAL 4.1 writes and reads it. We alone make these bytes: what came over the
 * wire are residues and seeds, so that SEAL never parses a header, a length or a scale that somebody else chose.
 */

const HEADER = 16;
const MAGIC = 0xa15e;
/** Header, parameters' hash, form, size, degree, primes, scale, correction factor. */
const CIPHERTEXT_HEAD = HEADER + 32 + 1 + 5 * 8;
const ARRAY_HEAD = HEADER + 8;
/** BLAKE2Xb, the default, and its 512-bit seed. */
const SEED_BLOCK = HEADER + 1 + 64;
const BLAKE2XB = 1;
export const SEED_BYTES = 64;

/** What tells one shape of ciphertext from another. */
export interface Shape {
  /** Polynomials that are there; the second one of a fresh ciphertext is its seed. */
  readonly polynomials: number;
  readonly seeded: boolean;
  /** Index of the primes whose residues are there. */
  readonly primes: readonly number[];
  readonly parmsId: string;
  readonly scale: number;
}

/** A fresh, symmetrically encrypted ciphertext: one polynomial and a seed. */
export const freshShape = (set: ParameterSet): Shape => ({
  polynomials: 1,
  seeded: true,
  primes: Array.from({ length: dataPrimes(set) }, (_, index) => index),
  parmsId: levelOf(set, dataPrimes(set)),
  scale: 2 ** set.scaleBits,
});

/** A result: whole, with so many primes left. */
export const resultShape = (set: ParameterSet, polynomials: number, primes: number, scale: number): Shape => ({
  polynomials,
  seeded: false,
  primes: Array.from({ length: primes }, (_, index) => index),
  parmsId: levelOf(set, primes),
  scale,
});

/** One part of an evaluation key: over all primes, also the special one. */
const keyShape = (set: ParameterSet): Shape => ({
  polynomials: 1,
  seeded: true,
  primes: set.primes.map((_, index) => index),
  parmsId: levelOf(set, set.primes.length),
  scale: 1,
});

/** Bytes on the wire. */
export function wireBytes(set: ParameterSet, { polynomials, seeded, primes }: Shape): number {
  const residues = primes.reduce((sum, index) => sum + packedBytes(set.degree, set.bits[index] as number), 0);
  return polynomials * residues + (seeded ? SEED_BYTES : 0);
}

const dataWords = (set: ParameterSet, { polynomials, primes }: Shape): number =>
  polynomials * primes.length * set.degree * 2;

const blobBytes = (set: ParameterSet, shape: Shape): number =>
  CIPHERTEXT_HEAD + ARRAY_HEAD + dataWords(set, shape) * 4 + (shape.seeded ? SEED_BLOCK : 0);

/** @throws RangeError when the bytes are not what SEAL 4.1 writes for this shape. */
export function blobToWire(set: ParameterSet, shape: Shape, blob: Uint8Array): Uint8Array {
  const expected = blobBytes(set, shape);
  const head = ciphertextHead(set, shape);
  if (blob.length !== expected || !head.every((byte, at) => byte === blob[at])) {
    throw new RangeError('SEAL wrote a ciphertext of another shape');
  }
  const wire = new Uint8Array(wireBytes(set, shape));
  const words = new Uint32Array(blob.slice(head.length, head.length + dataWords(set, shape) * 4).buffer);
  let at = 0;
  forEachPolynomial(set, shape, words, (residues, bits) => {
    const packed = pack(residues, bits);
    wire.set(packed, at);
    at += packed.length;
  });
  if (shape.seeded) wire.set(blob.subarray(blob.length - SEED_BYTES), at);
  return wire;
}

/** The bytes for SEAL, or null when a residue is not below its prime. `wire` must be of exactly {@link wireBytes}. */
export function wireToBlob(set: ParameterSet, shape: Shape, wire: Uint8Array): Uint8Array | null {
  if (wire.length !== wireBytes(set, shape)) return null;
  const words = new Uint32Array(dataWords(set, shape));
  let at = 0;
  let sound = true;
  forEachPolynomial(set, shape, words, (residues, bits, prime) => {
    const size = packedBytes(set.degree, bits);
    sound = unpack(wire.subarray(at, at + size), bits, prime, residues) && sound;
    at += size;
  });
  if (!sound) return null;
  const blob = new Uint8Array(blobBytes(set, shape));
  const head = ciphertextHead(set, shape);
  blob.set(head);
  blob.set(new Uint8Array(words.buffer), head.length);
  if (shape.seeded) {
    const seed = blob.length - SEED_BLOCK;
    writeHeader(new DataView(blob.buffer), seed, SEED_BLOCK);
    blob[seed + HEADER] = BLAKE2XB;
    blob.set(wire.subarray(at), seed + HEADER + 1);
  }
  return blob;
}

function forEachPolynomial(
  set: ParameterSet,
  { polynomials, primes }: Shape,
  words: Uint32Array,
  each: (residues: Uint32Array, bits: number, prime: number) => void,
): void {
  let at = 0;
  for (let polynomial = 0; polynomial < polynomials; polynomial++) {
    for (const index of primes) {
      each(words.subarray(at, at + 2 * set.degree), set.bits[index] as number, set.primes[index] as number);
      at += 2 * set.degree;
    }
  }
}

function ciphertextHead(set: ParameterSet, shape: Shape): Uint8Array {
  const head = new Uint8Array(CIPHERTEXT_HEAD + ARRAY_HEAD);
  const view = new DataView(head.buffer);
  writeHeader(view, 0, blobBytes(set, shape));
  head.set(fromHex(shape.parmsId) as Uint8Array, HEADER);
  head[HEADER + 32] = 1; // in NTT form
  const fields = HEADER + 33;
  writeWord(view, fields, shape.seeded ? 2 : shape.polynomials);
  writeWord(view, fields + 8, set.degree);
  writeWord(view, fields + 16, shape.primes.length);
  view.setFloat64(fields + 24, shape.scale, true);
  writeWord(view, fields + 32, 1); // correction factor, BGV's
  const count = dataWords(set, shape) / 2;
  writeHeader(view, CIPHERTEXT_HEAD, ARRAY_HEAD + count * 8);
  writeWord(view, CIPHERTEXT_HEAD + HEADER, count);
  return head;
}

function writeHeader(view: DataView, at: number, size: number): void {
  view.setUint16(at, MAGIC, true);
  view.setUint8(at + 2, HEADER);
  view.setUint8(at + 3, 4);
  view.setUint8(at + 4, 1);
  writeWord(view, at + 8, size);
}

const writeWord = (view: DataView, at: number, value: number): void => {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
};

const PLAINTEXT_HEAD = HEADER + 32 + 16;

/**
 * The bytes of a plaintext that holds one number in every slot, which costs SEAL's encoder a whole transform: encoded, a
 * constant is the same residue everywhere.
 */
export function constantToBlob(set: ParameterSet, levels: number, value: number, scale: number): Uint8Array {
  const { degree, primes } = set;
  const count = degree * levels;
  const blob = new Uint8Array(PLAINTEXT_HEAD + ARRAY_HEAD + count * 8);
  const view = new DataView(blob.buffer);
  writeHeader(view, 0, blob.length);
  blob.set(fromHex(levelOf(set, levels)) as Uint8Array, HEADER);
  writeWord(view, HEADER + 32, count);
  view.setFloat64(HEADER + 40, scale, true);
  writeHeader(view, PLAINTEXT_HEAD, ARRAY_HEAD + count * 8);
  writeWord(view, PLAINTEXT_HEAD + HEADER, count);
  const words = new BigUint64Array(blob.buffer, PLAINTEXT_HEAD + ARRAY_HEAD);
  const rounded = Math.round(value * scale);
  for (let level = 0; level < levels; level++) {
    const prime = primes[level] as number;
    words.fill(BigInt(((rounded % prime) + prime) % prime), level * degree, (level + 1) * degree);
  }
  return blob;
}

/** Bytes on the wire of the evaluation keys for `steps` rotations. */
export const keysWireBytes = (set: ParameterSet, steps: number): number =>
  steps * dataPrimes(set) * wireBytes(set, keyShape(set));

/** Where SEAL keeps the key of a rotation to the left: under its Galois element, 3^steps mod 2N. */
function keyIndex(degree: number, step: number): number {
  let element = 1;
  for (let power = 0; power < step; power++) element = (element * 3) % (2 * degree);
  return (element - 1) / 2;
}

/**
 * The bytes of SEAL's Galois keys for the rotations `steps`, from what came over the wire in the order of `steps`;
 * null when a residue is not below its prime.
 */
export function keysToBlob(set: ParameterSet, steps: readonly number[], wire: Uint8Array): Uint8Array | null {
  const shape = keyShape(set);
  const part = wireBytes(set, shape);
  const parts = dataPrimes(set);
  if (wire.length !== keysWireBytes(set, steps.length)) return null;
  const size = HEADER + 32 + 8 + set.degree * 8 + steps.length * parts * blobBytes(set, shape);
  const blob = new Uint8Array(size);
  const view = new DataView(blob.buffer);
  writeHeader(view, 0, size);
  blob.set(fromHex(levelOf(set, set.primes.length)) as Uint8Array, HEADER);
  writeWord(view, HEADER + 32, set.degree);
  let at = HEADER + 40;
  const order = new Map(steps.map((step, index) => [keyIndex(set.degree, step), index]));
  for (let index = 0; index < set.degree; index++) {
    const position = order.get(index);
    writeWord(view, at, position === undefined ? 0 : parts);
    at += 8;
    if (position === undefined) continue;
    for (let digit = 0; digit < parts; digit++) {
      const from = (position * parts + digit) * part;
      const one = wireToBlob(set, shape, wire.subarray(from, from + part));
      if (one === null) return null;
      blob.set(one, at);
      at += one.length;
    }
  }
  return blob;
}

/** What SEAL wrote as Galois keys for `steps`, for the wire. @throws RangeError for any other bytes. */
export function keysToWire(set: ParameterSet, steps: readonly number[], blob: Uint8Array): Uint8Array {
  const shape = keyShape(set);
  const part = wireBytes(set, shape);
  const parts = dataPrimes(set);
  const wire = new Uint8Array(keysWireBytes(set, steps.length));
  const order = new Map(steps.map((step, index) => [keyIndex(set.degree, step), index]));
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  let at = HEADER + 40;
  for (let index = 0; index < set.degree; index++) {
    const held = view.getUint32(at, true);
    at += 8;
    const position = order.get(index);
    if (held !== (position === undefined ? 0 : parts)) throw new RangeError('SEAL wrote keys of other rotations');
    for (let digit = 0; digit < held; digit++) {
      const size = blobBytes(set, shape);
      wire.set(blobToWire(set, shape, blob.subarray(at, at + size)), ((position ?? 0) * parts + digit) * part);
      at += size;
    }
  }
  return wire;
}
