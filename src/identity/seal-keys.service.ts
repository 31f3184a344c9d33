import type { Log } from '#kernel/log.ts';
import type { Sealer } from './identity.ts';
import { type KeyRegistry, type KnownKey, missingKey, type SealKey, sealedUnder } from './seal.ts';

export interface SealKeysDeps {
  /** Every key of the file, made ready. */
  readonly read: () => Promise<readonly SealKey[]>;
  /** Changes whenever the file is another one. */
  readonly state: () => Promise<string>;
  readonly registry: Pick<KeyRegistry, 'known' | 'hold'>;
  /** Enters the first key of all into the database, on the record. */
  readonly register: (name: string) => Promise<void>;
  readonly log: Log;
}

/** The file and the database are looked at again after so long: a rotation needs no restart. */
const LOOK_MS = 2000;
/** A key that has left the file is still read for so long, for what was fetched before it was sealed anew. */
const LINGER_MS = 60_000;

/**
 * The seal keys of this gateway. The file says which there are, the database which one is in use; every two seconds this
 * gateway says which it holds, so that none is used before all can read it.
 */
export class SealKeys implements Sealer, AsyncDisposable {
  readonly #deps: SealKeysDeps;
  readonly #lingering = new Map<string, NodeJS.Timeout>();
  #keys = new Map<string, SealKey>();
  #head: SealKey;
  #seen: string;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;

  private constructor(deps: SealKeysDeps, keys: readonly SealKey[], head: SealKey, seen: string) {
    this.#deps = deps;
    this.#head = head;
    this.#seen = seen;
    for (const key of keys) this.#keys.set(key.name, key);
  }

  /** @throws Error unless the file holds what the database was written with */
  static async open(deps: SealKeysDeps): Promise<SealKeys> {
    const seen = await deps.state();
    const keys = await deps.read();
    const [first] = keys;
    let known = await deps.registry.known('seal');
    if (!known.some(({ state }) => state === 'head') && first !== undefined) {
      await deps.register(first.name);
      known = await deps.registry.known('seal');
    }
    const names = keys.map(({ name }) => name);
    const missing = missingKey(names, known);
    const head = headOf(keys, known);
    if (missing !== null || head === null) throw new Error(missing ?? 'the database knows no seal key');
    const opened = new SealKeys(deps, keys, head, seen);
    await deps.registry.hold(names);
    opened.#timer = setInterval(() => void opened.look(), LOOK_MS);
    opened.#timer.unref();
    return opened;
  }

  seal(text: string, context: string): Uint8Array {
    return this.#head.seal(text, context);
  }

  open(sealed: Uint8Array, context: string): string {
    const key = this.#keys.get(sealedUnder(sealed));
    if (key === undefined) throw new Error('sealed under a key that is not here');
    return key.open(sealed, context);
  }

  fingerprint(text: string): string {
    return this.#head.fingerprint(text);
  }

  isFingerprint(value: string, text: string): boolean {
    return [...this.#keys.values()].some((key) => key.fingerprint(text) === value);
  }

  /** Looks at the file and the database now. What is not usable is logged, and what was held stays. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#deps.log.error('the seal keys are not usable; the old ones stay', { error }))
      .finally(() => {
        this.#looking = null;
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const seen = await this.#deps.state();
    if (seen !== this.#seen) {
      this.#take(await this.#deps.read());
      this.#seen = seen;
    }
    const keys = [...this.#keys.values()].filter(({ name }) => !this.#lingering.has(name));
    const known = await this.#deps.registry.hold(keys.map(({ name }) => name));
    const head = headOf([...this.#keys.values()], known);
    if (head === null) throw new Error(missingKey([...this.#keys.keys()], known) ?? 'the database knows no seal key');
    if (head.name !== this.#head.name) this.#deps.log.info('another seal key is in use', { version: head.name });
    this.#head = head;
  }

  #take(keys: readonly SealKey[]): void {
    const names = new Set(keys.map(({ name }) => name));
    for (const name of this.#keys.keys()) {
      if (names.has(name) || this.#lingering.has(name)) continue;
      const gone = setTimeout(() => {
        this.#lingering.delete(name);
        this.#keys.delete(name);
      }, LINGER_MS);
      gone.unref();
      this.#lingering.set(name, gone);
    }
    for (const key of keys) {
      clearTimeout(this.#lingering.get(key.name));
      this.#lingering.delete(key.name);
      this.#keys.set(key.name, key);
    }
    this.#deps.log.info('seal keys read again', { count: keys.length });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const gone of this.#lingering.values()) clearTimeout(gone);
    await this.#looking;
  }
}

function headOf(keys: readonly SealKey[], known: readonly KnownKey[]): SealKey | null {
  const head = known.find(({ state }) => state === 'head');
  return keys.find(({ name }) => name === head?.name) ?? null;
}
