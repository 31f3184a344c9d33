/** That one record is in the log that a key signed: for whoever looks at records and holds no receipt. */
import { fromBase64, utf8 } from '#kernel/bytes.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.shared.ts';
import { leafHash, verifyInclusion } from './merkle.shared.ts';
import { type NoteCrypto, NoteFault, parseVerifierKey } from './note.shared.ts';

/** What a checkpoint says, or in one sentence why the key does not vouch for it. */
export async function signedHead(crypto: NoteCrypto, note: string, verifierKey: string): Promise<Checkpoint | string> {
  try {
    return await openCheckpoint(crypto, note, await parseVerifierKey(crypto.sha256, verifierKey));
  } catch (error) {
    if (error instanceof NoteFault) return error.message;
    throw error;
  }
}

/** RFC 9162, section 2.1.3.2. `proof`: hashes in base64, from the leaf upwards; anything else proves nothing. */
export async function isInTree(
  { sha256 }: Pick<NoteCrypto, 'sha256'>,
  { record, seq, proof }: { readonly record: string; readonly seq: number; readonly proof: readonly string[] },
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
): Promise<boolean> {
  const path = proof.map(fromBase64);
  if (!path.every((hash) => hash !== null)) return false;
  return verifyInclusion(sha256, await leafHash(sha256, utf8(record)), seq, size, path, root);
}
