/**
 * A reader of C2SP tlog-tiles, tlog-checkpoint and signed-note, written from the specifications and RFC 9162 alone: it
 * shares no code with the product, so that what both say of a folder was said twice.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const digest = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export interface ReadCheckpoint {
  readonly size: number;
  readonly root: Buffer;
}

/** signed-note: text, blank line, lines of `— NAME BASE64(4 bytes of key id || signature)`. @throws Error unless `key` signed it. */
export function readNote(note: string, key: string): ReadCheckpoint {
  const plus = [key.indexOf('+'), key.indexOf('+', key.indexOf('+') + 1)] as const;
  const [name, id, encoded] = [key.slice(0, plus[0]), key.slice(plus[0] + 1, plus[1]), key.slice(plus[1] + 1)];
  const typed = Buffer.from(encoded, 'base64');
  if (typed[0] !== 1 || typed.length !== 33) throw new Error('the key is not Ed25519');
  const keyId = digest(Buffer.from(`${name}\n`), typed).subarray(0, 4);
  if (keyId.toString('hex') !== id) throw new Error('the key has another id');
  const at = note.lastIndexOf('\n\n');
  const text = note.slice(0, at + 1);
  const line = note
    .slice(at + 2)
    .split('\n')
    .find((one) => one.startsWith(`\u2014 ${name} `));
  const signature = Buffer.from(line?.split(' ')[2] ?? '', 'base64');
  if (!signature.subarray(0, 4).equals(keyId)) throw new Error('the note is signed by another key');
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), typed.subarray(1)]);
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (!verify(null, Buffer.from(text), publicKey, signature.subarray(4))) throw new Error('the signature is wrong');
  const [origin, size, root] = text.split('\n');
  if (origin !== name) throw new Error('the checkpoint is of another log');
  return { size: Number(size), root: Buffer.from(root ?? '', 'base64') };
}

/** `<N>` of tlog-tiles: groups of three digits, all but the last with an `x` in front. */
function numbered(n: number): string {
  const groups: string[] = [];
  for (let rest = n, last = true; ; rest = Math.floor(rest / 1000), last = false) {
    groups.unshift(`${last ? '' : 'x'}${String(rest % 1000).padStart(3, '0')}`);
    if (rest < 1000) return groups.join('/');
  }
}

const read = (folder: string, kind: string, n: number, count: number): Buffer =>
  readFileSync(join(folder, 'tile', kind, count === 256 ? numbered(n) : `${numbered(n)}.p/${count}`));

/** All entries and their hashes out of level 0. @throws Error where one is not the hash of the other, or is missing. */
export function readEntries(folder: string, size: number): { entries: Buffer[]; leaves: Buffer[] } {
  const entries: Buffer[] = [];
  const leaves: Buffer[] = [];
  for (let n = 0; n * 256 < size; n++) {
    const count = Math.min(256, size - n * 256);
    const hashes = read(folder, '0', n, count);
    const bundle = read(folder, 'entries', n, count);
    if (hashes.length !== count * 32) throw new Error(`tile ${n} holds ${hashes.length / 32} hashes`);
    for (let at = 0; at < bundle.length; ) {
      const length = bundle.readUInt16BE(at);
      entries.push(bundle.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    for (let at = 0; at < count; at++) leaves.push(hashes.subarray(at * 32, at * 32 + 32));
    if (entries.length !== leaves.length) throw new Error(`bundle ${n} holds another number of entries than its tile`);
  }
  leaves.forEach((leaf, n) => {
    if (!digest(Buffer.of(0), entries[n] ?? Buffer.alloc(0)).equals(leaf))
      throw new Error(`entry ${n} is not its leaf`);
  });
  return { entries, leaves };
}

/** RFC 9162, section 2.1.1, as it is defined there: split at the largest power of two below n. */
export function rootOver(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return digest();
  if (leaves.length === 1) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return digest(Buffer.of(1), rootOver(leaves.slice(0, split)), rootOver(leaves.slice(split)));
}

/** Tiles above level 0 hold the hashes of full tiles below. @throws Error */
export function checkUpperTiles(folder: string, leaves: readonly Buffer[]): void {
  let below: readonly Buffer[] = leaves;
  for (let level = 1; below.length >= 256; level++) {
    const here = Array.from({ length: Math.floor(below.length / 256) }, (_, n) =>
      rootOver(below.slice(n * 256, n * 256 + 256)),
    );
    for (let n = 0; n * 256 < here.length; n++) {
      const part = here.slice(n * 256, n * 256 + 256);
      if (!read(folder, String(level), n, part.length).equals(Buffer.concat(part)))
        throw new Error(`tile ${n} of level ${level} is wrong`);
    }
    below = here;
  }
}
