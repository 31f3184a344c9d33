/** The promise that goes before a checkpoint. Strict: one spelling, everything else is refused. */

import { concat, equalBytes, fromBase64, toBase64, utf8 } from '#kernel/bytes.ts';
import { HASH_BYTES, leafBytes, leafHash, nodeBytes, nodeHash, type SyncSha256 } from './merkle.shared.ts';
import { keyIdOf, type NoteCrypto, NoteFault, requireKey, type Signer, type VerifierKey } from './note.shared.ts';

/**
 * What the gateway says the moment a record has committed, before a checkpoint covers it: this record will be in the
 * log at this place.
 */
export interface AuditPromise {
  readonly origin: string;
  readonly seq: number;
  readonly leaf: Uint8Array;
  /** The record's `at`. */
  readonly at: string;
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
const AT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$/;

/**
 * Type 0xff of signed-note with a name of its own, so that the key id differs; and what is signed begins with the name
 * and a zero byte, which no note may hold, so that no signature can ever pass for one of another sort.
 */
const [ALONE, TOGETHER] = ['strongroom/audit-promise/v1', 'strongroom/audit-promises/v1'];
const typeOf = (name: string): Uint8Array => concat(Uint8Array.of(0xff), utf8(name));
/** Hashes between a promise and the root that is signed; twice as many promises for one more. */
const MOST_LEVELS = 8;
export const MOST_PROMISES = 2 ** MOST_LEVELS;

/** Makes promises under one key, whose ids are worked out once. */
export class PromiseSigner {
  readonly #sha256: SyncSha256;
  readonly #signer: Signer;
  readonly #ids: Readonly<Record<'alone' | 'together', Uint8Array>>;

  private constructor(sha256: SyncSha256, signer: Signer, alone: Uint8Array, together: Uint8Array) {
    this.#sha256 = sha256;
    this.#signer = signer;
    this.#ids = { alone, together };
  }

  static async open(sha256: SyncSha256, signer: Signer): Promise<PromiseSigner> {
    requireKey(signer);
    const [alone, together] = [
      await keyIdOf(sha256, signer, typeOf(ALONE)),
      await keyIdOf(sha256, signer, typeOf(TOGETHER)),
    ];
    return new PromiseSigner(sha256, signer, alone, together);
  }

  /**
   * A line for a header each, in order. Of one promise: `v1 <origin> <seq> <base64 leaf hash> <at> <base64(key id ||
   * signature)>`. Of several, since a signature costs more than all else in an answer: `v2` and the same, where the
   * signature is that of the root of their tree, then the promise's place in it and the way to the root in base64.
   *
   * @param promises 1 to {@link MOST_PROMISES}
   */
  async sign(promises: readonly AuditPromise[]): Promise<string[]> {
    const leaves = promises.map(({ leaf }) => toBase64(leaf));
    const messages = promises.map((promise, place) => messageOf(promise, leaves[place] ?? ''));
    const [message] = messages;
    if (message === undefined || promises.length > MOST_PROMISES) throw new NoteFault('there is nothing to promise');
    const lineOf = (version: string, { origin, seq, at }: AuditPromise, place: number, signed: string) =>
      `${version} ${origin} ${seq} ${leaves[place]} ${at} ${signed}`;
    if (messages.length === 1) {
      const signed = toBase64(concat(this.#ids.alone, await this.#signer.sign(message)));
      return promises.map((promise, place) => lineOf('v1', promise, place, signed));
    }
    const rows = this.#treeOf(messages);
    const root = rows.at(-1)?.[0] ?? new Uint8Array();
    const signed = toBase64(concat(this.#ids.together, await this.#signer.sign(statementOf(this.#signer.name, root))));
    return promises.map((promise, place) => {
      const path = rows.slice(0, -1).map((row, level) => row[(place >> level) ^ 1] ?? new Uint8Array());
      return `${lineOf('v2', promise, place, signed)} ${place} ${toBase64(concat(...path))}`;
    });
  }

  /** RFC 9162, section 2.1.1, from the leaves to the root; filled up to a power of two with the hash of an empty leaf. */
  #treeOf(messages: readonly Uint8Array[]): Uint8Array[][] {
    let row = messages.map((message) => this.#sha256(leafBytes(message)));
    const empty = this.#sha256(leafBytes(new Uint8Array()));
    while (!Number.isInteger(Math.log2(row.length))) row.push(empty);
    const rows = [row];
    while (row.length > 1) {
      const below = row;
      row = Array.from({ length: below.length / 2 }, (_, at) =>
        this.#sha256(nodeBytes(below[2 * at] ?? empty, below[2 * at + 1] ?? empty)),
      );
      rows.push(row);
    }
    return rows;
  }
}

/** @throws NoteFault unless `key` signed it for its own log. */
export async function openPromise(crypto: NoteCrypto, line: string, key: VerifierKey): Promise<AuditPromise> {
  requireKey(key);
  if (line.length > 1024) throw new NoteFault('the promise is too long');
  const [version, origin = '', seq = '', encodedLeaf = '', at = '', encoded = '', ...tree] = line.split(' ');
  const leaf = fromBase64(encodedLeaf);
  const signature = fromBase64(encoded);
  const isTogether = version === 'v2' && tree.length === 2;
  const isAlone = version === 'v1' && tree.length === 0;
  if (!(isAlone || isTogether) || leaf === null || signature?.length !== 68 || !DECIMAL.test(seq)) {
    throw new NoteFault('this is no promise');
  }
  const promise = { origin, seq: Number(seq), leaf, at };
  const message = messageOf(promise, encodedLeaf);
  if (origin !== key.name) throw new NoteFault('the promise is of another log');
  const id = await keyIdOf(crypto.sha256, key, typeOf(isTogether ? TOGETHER : ALONE));
  if (!equalBytes(signature.slice(0, 4), id)) throw new NoteFault('the promise is not signed by this key');
  const signed = isTogether ? statementOf(origin, await rootFrom(crypto, message, tree)) : message;
  if (!(await crypto.verify(key.publicKey, signed, signature.slice(4)))) {
    throw new NoteFault('the signature of the promise is wrong');
  }
  return promise;
}

/** The root to which a promise's place and path lead. */
async function rootFrom(
  { sha256 }: NoteCrypto,
  message: Uint8Array,
  [place = '', encoded = '']: readonly string[],
): Promise<Uint8Array> {
  const bytes = fromBase64(encoded);
  const levels = (bytes?.length ?? 0) / HASH_BYTES;
  const isInside = DECIMAL.test(place) && Number(place) < 2 ** levels;
  if (bytes === null || !Number.isInteger(levels) || levels < 1 || levels > MOST_LEVELS || !isInside) {
    throw new NoteFault('the way to the root of the promise is malformed');
  }
  let hash = await leafHash(sha256, message);
  for (let level = 0; level < levels; level++) {
    const beside = bytes.slice(level * HASH_BYTES, (level + 1) * HASH_BYTES);
    const isRight = ((Number(place) >> level) & 1) === 1;
    hash = isRight ? await nodeHash(sha256, beside, hash) : await nodeHash(sha256, hash, beside);
  }
  return hash;
}

function messageOf({ origin, seq, leaf, at }: AuditPromise, encodedLeaf: string): Uint8Array {
  requireOrigin(origin);
  if (!Number.isSafeInteger(seq) || seq < 0 || leaf.length !== HASH_BYTES) throw new NoteFault('this is no promise');
  if (!AT.test(at)) throw new NoteFault('the time of the promise is malformed');
  return utf8(`${ALONE}\u0000${origin}\n${seq}\n${encodedLeaf}\n${at}\n`);
}

function statementOf(origin: string, root: Uint8Array): Uint8Array {
  requireOrigin(origin);
  return utf8(`${TOGETHER}\u0000${origin}\n${toBase64(root)}\n`);
}

/** Printable ASCII: it travels in a header. */
function requireOrigin(origin: string): void {
  if (!/^[!-*,-~]{1,200}$/.test(origin)) throw new NoteFault('this is no promise');
}
