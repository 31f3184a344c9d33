import { toHex } from '#kernel/bytes.ts';
import type { Sealer } from './identity.ts';

/** One seal key, made ready. */
export interface SealKey extends Pick<Sealer, 'seal' | 'open' | 'fingerprint'> {
  /** 16 hex digits that name the key and tell nothing of it; they stand in front of what it seals. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const NAME_BYTES = 8;

/** Name of the key that something was sealed under. */
export const sealedUnder = (sealed: Uint8Array): string => toHex(sealed.subarray(0, NAME_BYTES));

/** `next`: known, not used yet. `head`: in use. `old`: still read. `retired`: nothing is sealed under it any more. */
export type KeyState = 'next' | 'head' | 'old' | 'retired';

/** A key as the database knows it: by name. */
export interface KnownKey {
  readonly name: string;
  readonly state: KeyState;
}

/** What the database knows of keys that lie in files. */
export interface KeyRegistry {
  /** Newest first. */
  known(purpose: 'seal' | 'token'): Promise<readonly KnownKey[]>;
  /** Says which seal keys this gateway holds now; answers as `known('seal')`. */
  hold(names: readonly string[]): Promise<readonly KnownKey[]>;
  /** How many running gateways do not hold it yet. */
  countWithout(name: string): Promise<number>;
  /** A portion of what is sealed under other keys than this one; empty when there is nothing left. */
  sealedOtherwise(name: string): Promise<readonly SealedSecret[]>;
}

export interface SealedSecret {
  readonly account: string;
  readonly place: 'secret' | 'pending';
  readonly sealed: Uint8Array;
}

/** What an operator is told when the file is not the one that the database was written with. */
export function missingKey(held: readonly string[], known: readonly KnownKey[]): string | null {
  const needed = known.filter(({ state }) => state === 'head' || state === 'old').map(({ name }) => name);
  const missing = needed.filter((name) => !held.includes(name));
  if (missing.length === 0) return null;
  return `the database knows the key ${missing.join(', ')}, and it is not here${held.length > 0 ? ` (here: ${held.join(', ')})` : ''}; restore it from its backup`;
}
