/**
 * The Merkle tree of RFC 9162, section 2.1, over SHA-256. Runs in browsers and on the server: the hash is an argument,
 * WebCrypto's (which is asynchronous) or Node's. Indexes and sizes are numbers up to 2^53 - 1; no bitwise operators,
 * which would cut them to 32 bits.
 */
import { equalBytes } from '#kernel/bytes.ts';

export type Sha256 = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
/** For what must be fast: {@link RootBuilder}. */
export type SyncSha256 = (bytes: Uint8Array) => Uint8Array;

/** The root of a perfect subtree: of the leaves from `index * 2^level` to `(index + 1) * 2^level`. */
export interface NodeId {
  /** 0 = leaves. */
  readonly level: number;
  readonly index: number;
}

/** MUST resolve with the 32 bytes of a node that exists in the tree asked about; throws where it can't. */
export type ReadNode = (level: number, index: number) => Uint8Array | Promise<Uint8Array>;

export type OnNode = (level: number, index: number, hash: Uint8Array) => void;

export const HASH_BYTES = 32;

/** Section 2.1.1: SHA-256(0x00 || record). */
export const leafHash = async (sha256: Sha256, record: Uint8Array): Promise<Uint8Array> => sha256(leafBytes(record));

/** Section 2.1.1: SHA-256(0x01 || left || right). */
export const nodeHash = async (sha256: Sha256, left: Uint8Array, right: Uint8Array): Promise<Uint8Array> =>
  sha256(nodeBytes(left, right));

/** The root over `size` leaves; of none it is the hash of nothing. */
export async function rootOf(sha256: Sha256, size: number, readNode: ReadNode): Promise<Uint8Array> {
  requireSize(size);
  if (size === 0) return sha256(new Uint8Array(0));
  return readRange(sha256, { begin: 0, end: size }, readNode);
}

/** Section 2.1.3.1, PATH(m, D_n): from the leaf upwards. @throws RangeError unless `0 <= index < size`. */
export async function inclusionPath(
  sha256: Sha256,
  index: number,
  size: number,
  readNode: ReadNode,
): Promise<Uint8Array[]> {
  return Promise.all(inclusionRanges(index, size).map((range) => readRange(sha256, range, readNode)));
}

/** Section 2.1.4.1, PROOF(m, D_n). Empty where it says nothing: from 0, or to the same size. */
export async function consistencyPath(
  sha256: Sha256,
  from: number,
  to: number,
  readNode: ReadNode,
): Promise<Uint8Array[]> {
  return Promise.all(consistencyRanges(from, to).map((range) => readRange(sha256, range, readNode)));
}

/** All nodes that {@link inclusionPath} will read, for a store that reads many at once. */
export const inclusionNodes = (index: number, size: number): NodeId[] =>
  inclusionRanges(index, size).flatMap(nodesOfRange);

/** All nodes that {@link consistencyPath} will read. */
export const consistencyNodes = (from: number, to: number): NodeId[] =>
  consistencyRanges(from, to).flatMap(nodesOfRange);

/** All nodes that {@link rootOf} and {@link RootBuilder.resume} will read, from the largest subtree to the smallest. */
export function rootNodes(size: number): NodeId[] {
  requireSize(size);
  return nodesOfRange({ begin: 0, end: size });
}

/** Section 2.1.3.2. False for anything that is not exactly the proof; never throws on what a stranger sent. */
export async function verifyInclusion(
  sha256: Sha256,
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): Promise<boolean> {
  if (!isSize(index) || !isSize(size) || index >= size || !areHashes(leaf, root, ...proof)) return false;
  let fn = index;
  let sn = size - 1;
  let r = leaf;
  for (const p of proof) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      r = await nodeHash(sha256, p, r);
      while (!isOdd(fn) && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      r = await nodeHash(sha256, r, p);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equalBytes(r, root);
}

/**
 * Section 2.1.4.2. The cases that the RFC leaves out: equal sizes need equal roots and no proof; from the empty tree
 * every tree follows, without proof. False for anything else; never throws.
 */
export async function verifyConsistency(
  sha256: Sha256,
  from: number,
  to: number,
  fromRoot: Uint8Array,
  toRoot: Uint8Array,
  proof: readonly Uint8Array[],
): Promise<boolean> {
  if (!isSize(from) || !isSize(to) || from > to || !areHashes(fromRoot, toRoot, ...proof)) return false;
  if (from === to) return proof.length === 0 && equalBytes(fromRoot, toRoot);
  if (from === 0) return proof.length === 0 && equalBytes(fromRoot, await sha256(new Uint8Array(0)));
  let fn = from - 1;
  let sn = to - 1;
  while (isOdd(fn)) {
    fn = half(fn);
    sn = half(sn);
  }
  // Where `from` is a power of two its root is itself the first node, and is left out of the proof.
  const path = fn === 0 ? [fromRoot, ...proof] : proof;
  const [first, ...rest] = path;
  if (first === undefined || proof.length === 0) return false;
  let fr = first;
  let sr = first;
  for (const c of rest) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      fr = await nodeHash(sha256, c, fr);
      sr = await nodeHash(sha256, c, sr);
      while (!isOdd(fn) && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      sr = await nodeHash(sha256, sr, c);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equalBytes(fr, fromRoot) && equalBytes(sr, toRoot);
}

/**
 * Grows a tree leaf by leaf and knows its root at every size, in constant memory: it keeps one hash per level.
 * `onNode` is told each perfect subtree above the leaves, once, when its last leaf arrives.
 */
export class RootBuilder {
  readonly #sha256: SyncSha256;
  readonly #onNode: OnNode | undefined;
  /** By level: the subtree that waits for its right sibling. Holds where the size has a one in binary. */
  readonly #waiting: (Uint8Array | undefined)[] = [];
  /** For one node after the other: 0x01, left, right. */
  readonly #bytes = nodeBytes(new Uint8Array(HASH_BYTES), new Uint8Array(HASH_BYTES));
  #size = 0;

  constructor(sha256: SyncSha256, onNode?: OnNode) {
    this.#sha256 = sha256;
    this.#onNode = onNode;
  }

  /** Goes on from a tree of `size` leaves; reads {@link rootNodes}. */
  static async resume(sha256: SyncSha256, size: number, readNode: ReadNode, onNode?: OnNode): Promise<RootBuilder> {
    const builder = new RootBuilder(sha256, onNode);
    for (const { level, index } of rootNodes(size)) builder.#waiting[level] = await readNode(level, index);
    builder.#size = size;
    return builder;
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let hash = leaf;
    let level = 0;
    let index = this.#size;
    while (isOdd(index)) {
      hash = this.#node(this.#waiting[level] as Uint8Array, hash);
      this.#waiting[level] = undefined;
      level++;
      index = half(index);
      this.#onNode?.(level, index, hash);
    }
    this.#waiting[level] = hash;
    this.#size++;
  }

  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (const hash of this.#waiting) {
      if (hash !== undefined) root = root === undefined ? hash : this.#node(hash, root);
    }
    return root ?? this.#sha256(new Uint8Array(0));
  }

  #node(left: Uint8Array, right: Uint8Array): Uint8Array {
    this.#bytes.set(left, 1);
    this.#bytes.set(right, 1 + HASH_BYTES);
    return this.#sha256(this.#bytes);
  }
}

/** Leaves from `begin` up to but not including `end`. */
type Range = { readonly begin: number; readonly end: number };

function inclusionRanges(index: number, size: number): Range[] {
  requireSize(size);
  if (!isSize(index) || index >= size) throw new RangeError('there is no such leaf in a tree of this size');
  const path: Range[] = [];
  let begin = 0;
  let end = size;
  while (end - begin > 1) {
    const middle = begin + splitOf(end - begin);
    if (index < middle) {
      path.unshift({ begin: middle, end });
      end = middle;
    } else {
      path.unshift({ begin, end: middle });
      begin = middle;
    }
  }
  return path;
}

function consistencyRanges(from: number, to: number): Range[] {
  requireSize(from);
  requireSize(to);
  if (from > to) throw new RangeError('a tree is consistent with later ones only');
  if (from === 0 || from === to) return [];
  const path: Range[] = [];
  let begin = 0;
  let end = to;
  while (end !== from) {
    const middle = begin + splitOf(end - begin);
    if (from <= middle) {
      path.unshift({ begin: middle, end });
      end = middle;
    } else {
      path.unshift({ begin, end: middle });
      begin = middle;
    }
  }
  // SUBPROOF(m, D_m, true) is empty: the verifier has that root. False: it needs the node.
  return begin === 0 ? path : [{ begin, end }, ...path];
}

/** MTH of a range that begins at a multiple of a power of two not smaller than its length, as all of a tree do. */
async function readRange(sha256: Sha256, range: Range, readNode: ReadNode): Promise<Uint8Array> {
  const hashes = await Promise.all(nodesOfRange(range).map(({ level, index }) => readNode(level, index)));
  let root: Uint8Array | undefined;
  for (const hash of hashes.reverse()) root = root === undefined ? hash : await nodeHash(sha256, hash, root);
  if (root === undefined) throw new RangeError('an empty range has no hash');
  return root;
}

/** Perfect subtrees from left to right, each smaller than the one before. */
function nodesOfRange({ begin, end }: Range): NodeId[] {
  const nodes: NodeId[] = [];
  for (let at = begin; at < end; ) {
    let level = 0;
    let width = 1;
    while (at + width * 2 <= end) {
      width *= 2;
      level++;
    }
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

/** The largest power of two smaller than n > 1. */
function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

export function leafBytes(record: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + record.length);
  bytes.set(record, 1);
  return bytes;
}

export function nodeBytes(left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * HASH_BYTES);
  bytes[0] = 1;
  bytes.set(left, 1);
  bytes.set(right, 1 + HASH_BYTES);
  return bytes;
}

const isOdd = (n: number): boolean => n % 2 === 1;
const half = (n: number): number => Math.floor(n / 2);
const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const areHashes = (...all: readonly Uint8Array[]): boolean =>
  all.every((one) => one instanceof Uint8Array && one.length === HASH_BYTES);

const requireSize = (n: number): void => {
  if (!isSize(n)) throw new RangeError('a size is a whole number up to 2^53 - 1');
};
