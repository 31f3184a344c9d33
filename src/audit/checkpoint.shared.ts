/** C2SP tlog-checkpoint, and the promise that goes before it. Strict: one spelling, everything else is refused. */

import { concat, fromBase64, toBase64, toHex, utf8 } from '#kernel/bytes.ts';
import { HASH_BYTES } from './merkle.shared.ts';
import {
  keyIdOf,
  type NoteCrypto,
  NoteFault,
  openNote,
  requireKey,
  type Signer,
  signNote,
  type VerifierKey,
} from './note.shared.ts';

export interface Checkpoint {
  /** Which log this is; also the name of the key that signs it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

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

/** The three lines; no extension lines are made. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  if (!isLine(origin) || !Number.isSafeInteger(size) || size < 0 || root.length !== HASH_BYTES) {
    throw new NoteFault('this is no checkpoint');
  }
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/** The body alone. Extension lines, which we don't make, are allowed and ignored. @throws NoteFault */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  const [origin = '', size = '', encoded = ''] = lines;
  const root = fromBase64(encoded);
  if (lines.length < 4 || lines.pop() !== '' || lines.includes('')) throw new NoteFault('this is no checkpoint');
  if (!DECIMAL.test(size) || !Number.isSafeInteger(Number(size))) throw new NoteFault('the tree size is malformed');
  if (root?.length !== HASH_BYTES) throw new NoteFault('the root hash is malformed');
  return { origin, size: Number(size), root };
}

export const signCheckpoint = (crypto: Pick<NoteCrypto, 'sha256'>, checkpoint: Checkpoint, signer: Signer) =>
  signNote(crypto.sha256, formatCheckpoint(checkpoint), signer);

/** @throws NoteFault unless `key` signed it and its origin is the key's name. */
export async function openCheckpoint(crypto: NoteCrypto, note: string, key: VerifierKey): Promise<Checkpoint> {
  const checkpoint = parseCheckpoint(await openNote(crypto, note, key));
  if (checkpoint.origin !== key.name) throw new NoteFault('the checkpoint is of another log');
  return checkpoint;
}

/**
 * Type 0xff of signed-note with a name of its own, so that the key id differs; and what is signed begins with the name
 * and a zero byte, which no note may hold, so that neither signature can ever pass for the other.
 */
const PROMISE_TYPE = concat(Uint8Array.of(0xff), utf8('strongroom/audit-promise/v1'));
const PROMISE_CONTEXT = 'strongroom/audit-promise/v1\u0000';

/**
 * Makes promises under one key, whose id is worked out once. A promise is one line for a header:
 * `v1 <origin> <seq> <base64 leaf hash> <at> <base64(key id || signature)>`.
 */
export async function promiseSigner(
  crypto: Pick<NoteCrypto, 'sha256'>,
  signer: Signer,
): Promise<(promise: AuditPromise) => Promise<string>> {
  requireKey(signer);
  const id = await keyIdOf(crypto.sha256, signer, PROMISE_TYPE);
  return async (promise) => {
    const leaf = toBase64(promise.leaf);
    const signature = await signer.sign(promiseMessage(promise, leaf));
    return `v1 ${promise.origin} ${promise.seq} ${leaf} ${promise.at} ${toBase64(concat(id, signature))}`;
  };
}

/** @throws NoteFault unless `key` signed it for its own log. */
export async function openPromise(crypto: NoteCrypto, line: string, key: VerifierKey): Promise<AuditPromise> {
  requireKey(key);
  if (line.length > 1024) throw new NoteFault('the promise is too long');
  const [version, origin = '', seq = '', encodedLeaf = '', at = '', encoded = '', ...more] = line.split(' ');
  const leaf = fromBase64(encodedLeaf);
  const signature = fromBase64(encoded);
  if (version !== 'v1' || more.length > 0 || leaf === null || signature?.length !== 68 || !DECIMAL.test(seq)) {
    throw new NoteFault('this is no promise');
  }
  const promise = { origin, seq: Number(seq), leaf, at };
  const message = promiseMessage(promise, encodedLeaf);
  if (origin !== key.name) throw new NoteFault('the promise is of another log');
  const id = await keyIdOf(crypto.sha256, key, PROMISE_TYPE);
  if (toHex(signature.slice(0, 4)) !== toHex(id)) throw new NoteFault('the promise is not signed by this key');
  if (!(await crypto.verify(key.publicKey, message, signature.slice(4)))) {
    throw new NoteFault('the signature of the promise is wrong');
  }
  return promise;
}

function promiseMessage({ origin, seq, leaf, at }: AuditPromise, encodedLeaf: string): Uint8Array {
  // Printable ASCII: it travels in a header.
  if (!/^[!-*,-~]{1,200}$/.test(origin) || !Number.isSafeInteger(seq) || seq < 0 || leaf.length !== HASH_BYTES) {
    throw new NoteFault('this is no promise');
  }
  if (!AT.test(at)) throw new NoteFault('the time of the promise is malformed');
  return utf8(`${PROMISE_CONTEXT}${origin}\n${seq}\n${encodedLeaf}\n${at}\n`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is asked
const isLine = (text: string): boolean => text.length > 0 && text.isWellFormed() && !/[\u0000-\u001f]/.test(text);
