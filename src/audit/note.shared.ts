/**
 * C2SP signed-note with Ed25519 keys: the form of checkpoints and verifier keys. Pure; hash, signing and verification
 * are arguments, so that browsers and Node check the same bytes. Everything here may be given to it by a stranger.
 */
import { concat, equalBytes, fromBase64, toBase64, toHex, utf8 } from '#kernel/bytes.ts';
import type { Sha256 } from './merkle.shared.ts';

export interface NoteCrypto {
  readonly sha256: Sha256;
  /** Ed25519 (RFC 8032) with a raw public key of 32 bytes. MUST answer false, not throw, for what is no key or signature. */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean | Promise<boolean>;
}

/** Signs with the log's Ed25519 key; 64 bytes. */
export type Sign = (message: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** What somebody trusts: a name with a public key. */
export interface VerifierKey {
  readonly name: string;
  /** 32 bytes, RFC 8032. */
  readonly publicKey: Uint8Array;
}

export interface Signer extends VerifierKey {
  readonly sign: Sign;
}

/** Given text is not what it should be. The message names what is wrong and repeats nothing of it. */
export class NoteFault extends Error {
  override readonly name = 'NoteFault';
}

export interface NoteSignature {
  readonly name: string;
  /** Four bytes. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Note {
  /** What is signed, with its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Signature types of C2SP signed-note. */
const ED25519 = Uint8Array.of(0x01);
const MAX_NOTE_CHARACTERS = 64 * 1024;
/** The specification asks for 16 at least. */
const MAX_SIGNATURES = 64;
const SIGNATURE_LINE = /^\u2014 ([^ ]+) ([^ ]+)$/u;

/** Non-empty, without Unicode spaces and `+`, and (as all of a note) without control characters. */
export const isKeyName = (name: string): boolean =>
  name.isWellFormed() && name.length <= 256 && /^[^\s+\u0085\p{Cc}]+$/u.test(name);

/** SHA-256(name || 0x0A || type || public key), the first four bytes. `type`: Ed25519, unless given. */
export async function keyIdOf(sha256: Sha256, key: VerifierKey, type: Uint8Array = ED25519): Promise<Uint8Array> {
  const digest = await sha256(concat(utf8(`${key.name}\n`), type, key.publicKey));
  return digest.slice(0, 4);
}

/** `name+keyid+base64(0x01 || public key)`. */
export async function formatVerifierKey(sha256: Sha256, key: VerifierKey): Promise<string> {
  requireKey(key);
  return `${key.name}+${toHex(await keyIdOf(sha256, key))}+${toBase64(concat(ED25519, key.publicKey))}`;
}

/** @throws NoteFault also where the key id is not the one of this name and key. */
export async function parseVerifierKey(sha256: Sha256, text: string): Promise<VerifierKey> {
  const [, name = '', id, encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  if (id === undefined || !isKeyName(name) || bytes?.length !== 33) throw new NoteFault('this is no verifier key');
  if (bytes[0] !== ED25519[0]) throw new NoteFault('the verifier key is not of type Ed25519');
  const key = { name, publicKey: bytes.slice(1) };
  if (toHex(await keyIdOf(sha256, key)) !== id) throw new NoteFault('the verifier key does not have its own key id');
  return key;
}

/** Signs a text that ends with a newline. */
export async function signNote(sha256: Sha256, text: string, signer: Signer): Promise<string> {
  requireKey(signer);
  if (!isNoteText(text)) throw new NoteFault('this text can not be a note');
  const signature = concat(await keyIdOf(sha256, signer), await signer.sign(utf8(text)));
  return `${text}\n\u2014 ${signer.name} ${toBase64(signature)}\n`;
}

/** Takes a note apart and verifies nothing. @throws NoteFault */
export function parseNote(note: string): Note {
  if (note.length > MAX_NOTE_CHARACTERS) throw new NoteFault('the note is too long');
  // The text ends at the last empty line; its own last newline belongs to it.
  const end = note.lastIndexOf('\n\n');
  const text = note.slice(0, end + 1);
  if (end < 0 || !isNoteText(text) || !isNoteText(note)) throw new NoteFault('this is no signed note');
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new NoteFault('the note has too many signatures');
  const signatures = lines.map((line) => {
    const [, name = '', encoded = ''] = SIGNATURE_LINE.exec(line) ?? [];
    const bytes = fromBase64(encoded);
    if (!isKeyName(name) || bytes === null || bytes.length < 5) throw new NoteFault('a signature line is malformed');
    return { name, keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
  });
  return { text, signatures };
}

/**
 * The text of a note that this key signed. Signatures of other keys are ignored; one of this key that does not verify
 * condemns the whole note.
 *
 * @throws NoteFault
 */
export async function openNote(crypto: NoteCrypto, note: string, key: VerifierKey): Promise<string> {
  requireKey(key);
  const { text, signatures } = parseNote(note);
  const id = await keyIdOf(crypto.sha256, key);
  const own = signatures.filter(({ name, keyId }) => name === key.name && equalBytes(keyId, id));
  if (own.length === 0) throw new NoteFault('the note is not signed by this key');
  for (const { signature } of own) {
    if (signature.length !== 64 || !(await crypto.verify(key.publicKey, utf8(text), signature))) {
      throw new NoteFault('the signature of the note is wrong');
    }
  }
  return text;
}

function isNoteText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is asked
  return text.length > 1 && text.endsWith('\n') && text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text);
}

export function requireKey({ name, publicKey }: VerifierKey): void {
  if (!isKeyName(name)) throw new NoteFault('a key name holds no spaces, no control characters and no +');
  if (publicKey.length !== 32) throw new NoteFault('an Ed25519 public key has 32 bytes');
}
