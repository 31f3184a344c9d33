import { concat, equalBytes, fromBase64, toBase64, utf8 } from '#kernel/bytes.ts';
import { keyIdOf, type NoteCrypto, type Signer, type VerifierKey } from './note.shared.ts';

export type ExportFormat = 'jsonl' | 'csv' | 'tiles';

/** What an export holds; `manifest.json` of its folder. */
export interface Manifest {
  readonly v: 1;
  readonly format: ExportFormat;
  readonly made_at: string;
  /** Seqs; `to` is not included. */
  readonly from: number;
  readonly to: number;
  readonly records: number;
  readonly origin: string;
  /** The signed checkpoint that covers the range, or the largest there was. Null: nothing was signed yet. */
  readonly checkpoint: string | null;
  /** Nodes of the tree that tie the range to the checkpoint: RFC 9162 hashes in base64. */
  readonly nodes: readonly { readonly level: number; readonly index: number; readonly hash: string }[];
  /** What the records were selected by, where not all of the range are here: then each comes with its own proof. */
  readonly filter?: Readonly<Record<string, string | undefined>>;
  /** Bodies that retention dropped: the ranges within this export, and the record that says so. Null: none. */
  readonly dropped: { readonly ranges: string; readonly record: string } | null;
  /** Notes of the rotations of the key that signs. */
  readonly rotations: readonly string[];
  /** SHA-256 of `files.sha256`, hex, which holds that of every other file. */
  readonly files_sha256: string;
  /** Whether `manifest.sig` is there: the caller may not have had the key. */
  readonly signed: boolean;
}

/** As for promises: a type and a context that no other signature of this key has. */
const TYPE = concat(Uint8Array.of(0xff), utf8('strongroom/audit-manifest/v1'));
const CONTEXT = utf8('strongroom/audit-manifest/v1\u0000');

/** `base64(key id || signature)` over the bytes of `manifest.json`. */
export async function signManifest({ sha256 }: Pick<NoteCrypto, 'sha256'>, bytes: Uint8Array, signer: Signer) {
  return toBase64(concat(await keyIdOf(sha256, signer, TYPE), await signer.sign(concat(CONTEXT, bytes))));
}

export async function isManifestSigned(crypto: NoteCrypto, bytes: Uint8Array, text: string, key: VerifierKey) {
  const signature = fromBase64(text.trim());
  if (signature?.length !== 68 || !equalBytes(signature.slice(0, 4), await keyIdOf(crypto.sha256, key, TYPE))) {
    return false;
  }
  return crypto.verify(key.publicKey, concat(CONTEXT, bytes), signature.slice(4));
}
