/**
 * The keys of one log over time. A rotation is a signed note of its own, signed by the old key and by the new one, so
 * that whoever trusts one of them can follow the chain in both directions:
 *
 * ```
 * bank.example/strongroom
 * strongroom/key-rotation/v1
 * <the old verifier key>
 * <the new verifier key>
 * <size of the last checkpoint of the old key>
 *
 * — bank.example/strongroom …        (old)
 * — bank.example/strongroom …        (new)
 * ```
 * Its second line is no tree size, so it can't be taken for a checkpoint.
 */
import { equalBytes } from '#kernel/bytes.ts';
import { type Checkpoint, openCheckpoint, parseCheckpoint } from './checkpoint.shared.ts';
import {
  formatVerifierKey,
  type NoteCrypto,
  NoteFault,
  openNote,
  parseNote,
  parseVerifierKey,
  type Signer,
  signNote,
  type VerifierKey,
} from './note.shared.ts';
import { type AuditPromise, openPromise } from './promise.shared.ts';

/** A key and the checkpoints that it signs: larger than `after`, up to `until` (null: it is in force). */
export interface KeyPeriod {
  readonly key: VerifierKey;
  readonly after: number;
  readonly until: number | null;
}

const KIND = 'strongroom/key-rotation/v1';
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
/** A log is not rotated more often in a hundred years of months. */
const MAX_ROTATIONS = 1200;

interface Rotation {
  readonly from: VerifierKey;
  readonly to: VerifierKey;
  readonly size: number;
}

/** The note of a rotation, signed by both. `size`: of the last checkpoint that the old key signs alone. */
export async function signRotation(
  crypto: Pick<NoteCrypto, 'sha256'>,
  from: Signer,
  to: Signer,
  size: number,
): Promise<string> {
  const keys = [await formatVerifierKey(crypto.sha256, from), await formatVerifierKey(crypto.sha256, to)];
  const text = `${from.name}\n${KIND}\n${keys.join('\n')}\n${size}\n`;
  return signByBoth(crypto, text, from, to);
}

/** One text, two signature lines. */
export async function signByBoth(crypto: Pick<NoteCrypto, 'sha256'>, text: string, first: Signer, second: Signer) {
  const [one, other] = [await signNote(crypto.sha256, text, first), await signNote(crypto.sha256, text, second)];
  return `${one}${other.slice(text.length + 1)}`;
}

/** @throws NoteFault unless both of its keys signed it. */
async function openRotation(crypto: NoteCrypto, note: string): Promise<Rotation> {
  const { text } = parseNote(note);
  const [origin, kind, old = '', next = '', size = '', end, ...more] = text.split('\n');
  if (kind !== KIND || end !== '' || more.length > 0 || !DECIMAL.test(size)) throw new NoteFault('this is no rotation');
  const from = await parseVerifierKey(crypto.sha256, old);
  const to = await parseVerifierKey(crypto.sha256, next);
  if (from.name !== origin || to.name !== origin) throw new NoteFault('the rotation is of another log');
  await openNote(crypto, note, from);
  await openNote(crypto, note, to);
  return { from, to, size: Number(size) };
}

/**
 * What can be shown from the one key that is trusted. A rotation that does not continue the chain, or is not signed by
 * both, adds nothing: what it would have vouched for is then not signed by any key of the ring.
 */
export class KeyRing {
  readonly #crypto: NoteCrypto;
  /** In their order; at least one. */
  readonly periods: readonly KeyPeriod[];

  private constructor(crypto: NoteCrypto, periods: readonly KeyPeriod[]) {
    this.#crypto = crypto;
    this.periods = periods;
  }

  static async open(crypto: NoteCrypto, trusted: VerifierKey, notes: readonly string[]): Promise<KeyRing> {
    const all: Rotation[] = [];
    for (const note of notes.slice(0, MAX_ROTATIONS)) {
      const rotation = await openRotation(crypto, note).catch(nothingOf);
      if (rotation !== null && rotation.from.name === trusted.name) all.push(rotation);
    }
    const chain: Rotation[] = [];
    const follows = (at: number, least: number) => (one: Rotation) => same(one.from, keyAt(at)) && one.size > least;
    const leads = (at: number, most: number) => (one: Rotation) => same(one.to, keyAt(at)) && one.size < most;
    // Place of a key in the chain: 0 is the first known, each rotation leads to the next.
    const keyAt = (at: number): VerifierKey =>
      at === 0 ? (chain[0]?.from ?? trusted) : (chain[at - 1] as Rotation).to;
    for (;;) {
      const next = all.find(follows(chain.length, chain.at(-1)?.size ?? 0));
      if (next === undefined) break;
      chain.push(next);
    }
    for (;;) {
      const before = all.find(leads(0, chain[0]?.size ?? Number.POSITIVE_INFINITY));
      if (before === undefined) break;
      chain.unshift(before);
    }
    const periods = Array.from({ length: chain.length + 1 }, (_, at) => ({
      key: keyAt(at),
      after: chain[at - 1]?.size ?? 0,
      until: chain[at]?.size ?? null,
    }));
    return new KeyRing(crypto, periods);
  }

  get inForce(): KeyPeriod {
    return this.periods.at(-1) as KeyPeriod;
  }

  /** @throws NoteFault unless the key that was in force at its size signed it. */
  async openCheckpoint(note: string): Promise<Checkpoint> {
    const { size } = parseCheckpoint(parseNote(note).text);
    const period = this.periods.find(({ until }) => until === null || size <= until) ?? this.inForce;
    return openCheckpoint(this.#crypto, note, period.key);
  }

  /** The text of a note that any key of the ring signed. @throws NoteFault */
  openNote(note: string): Promise<string> {
    return this.#byAny((key) => openNote(this.#crypto, note, key));
  }

  /** A promise that any key of the ring signed. @throws NoteFault */
  openPromise(line: string): Promise<AuditPromise> {
    return this.#byAny((key) => openPromise(this.#crypto, line, key));
  }

  async #byAny<T>(open: (key: VerifierKey) => Promise<T>): Promise<T> {
    let fault: unknown;
    for (const { key } of [...this.periods].reverse()) {
      try {
        return await open(key);
      } catch (error) {
        fault ??= error;
      }
    }
    throw fault;
  }
}

const same = (a: VerifierKey, b: VerifierKey): boolean => a.name === b.name && equalBytes(a.publicKey, b.publicKey);

function nothingOf(error: unknown): null {
  if (error instanceof NoteFault) return null;
  throw error;
}
