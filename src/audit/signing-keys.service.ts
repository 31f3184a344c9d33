import { equalBytes } from '#kernel/bytes.ts';
import { type Checkpoint, formatCheckpoint, signCheckpoint } from './checkpoint.shared.ts';
import { KeyRing, signByBoth } from './key-ring.shared.ts';
import type { SyncSha256 } from './merkle.shared.ts';
import { type NoteCrypto, NoteFault, parseNote, type Signer } from './note.shared.ts';
import { type AuditPromise, MOST_PROMISES, PromiseSigner } from './promise.shared.ts';
import { type RegisteredKey, rotationsOf } from './signing-keys.ts';
import type { TreeHead } from './tree.ts';

export interface SigningKeysDeps {
  readonly crypto: NoteCrypto & { readonly sha256: SyncSha256 };
  readonly origin: string;
  /** As the database keeps them, the one in force last. Believed only as far as they are signed. */
  readonly registered: () => Promise<readonly RegisteredKey[]>;
  /** The keys on this machine: the present one, one that is prepared, the one before. */
  readonly local: () => Promise<readonly Signer[]>;
  /** Size of the last checkpoint; 0 without one. */
  readonly lastSigned: () => Promise<number>;
  /** Runs it when everything that is going on in this turn has been said. */
  readonly afterTurn: (run: () => void) => void;
}

/** A promise that waits for its signature. */
interface Waiting {
  readonly promise: AuditPromise;
  readonly resolve: (line: string) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The keys of the log as this gateway holds and knows them. A rotation is taken up while it runs: the database names the
 * new key, a note of old and new key vouches for it, and its file is on this machine.
 */
export class SigningKeys {
  readonly #deps: SigningKeysDeps;
  #ring: KeyRing;
  #signer: Signer;
  /** A key is in force that is not on this machine. */
  #missing = false;
  /** A checkpoint of the key in force is out, so the key before it is done with. */
  #announced = false;
  #promiser: { readonly signer: Signer; readonly opened: Promise<PromiseSigner> } | null = null;
  #waiting: Waiting[] = [];

  private constructor(deps: SigningKeysDeps, ring: KeyRing, signer: Signer) {
    this.#deps = deps;
    this.#ring = ring;
    this.#signer = signer;
  }

  /** @throws Error unless the key in force for the log of that name is on this machine. */
  static async open(deps: SigningKeysDeps): Promise<SigningKeys> {
    const registered = await deps.registered();
    const last = registered.at(-1);
    if (last === undefined) throw new Error('the database knows no key of this log');
    if (last.origin !== deps.origin) {
      throw new Error(`audit.origin is ${deps.origin}, and the log in the database is named ${last.origin}`);
    }
    const signer = holderOf(await deps.local(), last.publicKey);
    if (signer === null) throw new Error('this is not the key that signs the log in the database');
    return new SigningKeys(deps, await KeyRing.open(deps.crypto, signer, rotationsOf(registered)), signer);
  }

  get signer(): Signer {
    return this.#signer;
  }

  /** Notes for whoever trusts another key of the log. */
  async rotations(): Promise<string[]> {
    return rotationsOf(await this.#deps.registered());
  }

  /** Looks whether another key is in force. What can't be shown from the key that is known is left alone. */
  async refresh(): Promise<void> {
    const registered = await this.#deps.registered();
    const ring = await KeyRing.open(this.#deps.crypto, this.#signer, rotationsOf(registered));
    const { key } = ring.inForce;
    if (equalBytes(key.publicKey, this.#ring.inForce.key.publicKey) && !this.#missing) return;
    this.#ring = ring;
    this.#announced = false;
    const signer = holderOf(await this.#deps.local(), key.publicKey);
    this.#missing = signer === null;
    if (signer !== null) this.#signer = signer;
  }

  /** @throws NoteFault */
  async openCheckpoint(note: string): Promise<Checkpoint> {
    // The first checkpoint of a new key is signed by the old one as well: it is where followers notice.
    if (parseNote(note).signatures.length > 1) await this.refresh();
    try {
      return await this.#ring.openCheckpoint(note);
    } catch (error) {
      if (!(error instanceof NoteFault)) throw error;
      await this.refresh();
      return this.#ring.openCheckpoint(note);
    }
  }

  /** By the key that is here, with all that are asked for in the same turn. @throws NoteFault */
  promise(promise: AuditPromise): Promise<string> {
    const { promise: line, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting.push({ promise, resolve, reject });
    if (this.#waiting.length === 1) this.#deps.afterTurn(() => void this.#makePromises());
    return line;
  }

  async #makePromises(): Promise<void> {
    const signer = this.#signer;
    if (this.#promiser?.signer !== signer)
      this.#promiser = { signer, opened: PromiseSigner.open(this.#deps.crypto.sha256, signer) };
    const { opened } = this.#promiser;
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0, MOST_PROMISES);
      try {
        const lines = await (await opened).sign(together.map(({ promise }) => promise));
        for (const [place, { resolve }] of together.entries()) resolve(lines[place] ?? '');
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
  }

  /** By the key in force; by both until the first checkpoint of a new key is out. @throws Error when it is not here */
  async sign(head: TreeHead): Promise<string> {
    const { crypto, origin, lastSigned } = this.#deps;
    if (this.#missing) throw new Error('the key that signs the log now is not on this machine: copy it here');
    const checkpoint = { ...head, origin };
    const [before, now] = this.#ring.periods.slice(-2);
    if (before === undefined || now === undefined || this.#announced)
      return signCheckpoint(crypto, checkpoint, this.#signer);
    const previous = holderOf(await this.#deps.local(), before.key.publicKey);
    this.#announced = previous === null || (await lastSigned()) > now.after;
    return previous === null || this.#announced
      ? signCheckpoint(crypto, checkpoint, this.#signer)
      : signByBoth(crypto, formatCheckpoint(checkpoint), previous, this.#signer);
  }
}

const holderOf = (signers: readonly Signer[], publicKey: Uint8Array): Signer | null =>
  signers.find((one) => equalBytes(one.publicKey, publicKey)) ?? null;
