/** C2SP tlog-checkpoint. Strict: one spelling, everything else is refused. */

import { fromBase64, toBase64 } from '#kernel/bytes.ts';
import { HASH_BYTES } from './merkle.shared.ts';
import { type NoteCrypto, NoteFault, openNote, type Signer, signNote, type VerifierKey } from './note.shared.ts';

export interface Checkpoint {
  /** Which log this is; also the name of the key that signs it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

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

// biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is asked
const isLine = (text: string): boolean => text.length > 0 && text.isWellFormed() && !/[\u0000-\u001f]/.test(text);
