import type { Principal, Role, Strength } from '#kernel/principal.ts';
import { FACTORS } from './oidc.ts';

/** An account with what is needed to check its factors; never leaves the identity feature. */
export interface Account {
  readonly id: string;
  readonly username: string;
  /** PHC string (Argon2id), or null where no password has been chosen yet. */
  readonly passwordHash: string | null;
  readonly roles: readonly Role[];
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  /** Sealed; null without a second factor. */
  readonly totpSecret: Uint8Array | null;
  readonly hasPasskey: boolean;
  readonly epoch: number;
}

export interface ApiKeyRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
  readonly models: readonly string[] | null;
  readonly actions: readonly string[] | null;
}

/** What a new key is limited to: days it holds, models, actions, and a quota of its own beside its account's. */
export interface KeyLimits {
  readonly expiresInDays: number | null;
  readonly models: readonly string[] | null;
  readonly actions: readonly string[] | null;
  readonly quota: Readonly<Record<string, number>>;
}

/** Somebody's key as admins see it. */
export interface OwnedKey extends ApiKeyRecord {
  readonly owner: {
    readonly id: string;
    readonly username: string;
    readonly roles: readonly Role[];
    readonly disabled: boolean;
  };
  readonly quota: Readonly<Record<string, number>>;
}

/** Reads of the account store. Changes go through the recorder: a change without its record does not exist. */
export interface AccountStore {
  /** Null for an unknown or disabled name. */
  findAccount(username: string): Promise<Account | null>;
  countAccounts(): Promise<number>;
  /** `ref`: SHA-256 in hex of a session token or an API key. Null where it does not hold (any more). */
  findPrincipal(kind: 'session' | 'api_key', ref: string): Promise<Principal | null>;
  listKeys(account: string): Promise<readonly ApiKeyRecord[]>;
  /** Every key that has not been revoked, by owner. */
  listAllKeys(): Promise<readonly OwnedKey[]>;
}

/** The account as its owner is told of it. `secondFactorRoles`: roles that demand a factor before anything else. */
export const describeAccount = (account: Account, secondFactorRoles: readonly Role[]) => ({
  id: account.id,
  username: account.username,
  roles: [...account.roles],
  attributes: { department: account.department, clearance: account.clearance, branch: account.branch },
  has_totp: account.totpSecret !== null,
  has_passkey: account.hasPasskey,
  must_enrol:
    account.totpSecret === null &&
    !account.hasPasskey &&
    account.roles.some((role) => secondFactorRoles.includes(role)),
});

/** Argon2id (RFC 9106), with a cap on how many run at once. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** Takes the same time for an account without a hash (`null`): nobody learns from the clock who exists. */
  verify(hash: string | null, password: string): Promise<boolean>;
  /** False for a hash that was made with weaker parameters than those of today. */
  isCurrent(hash: string): boolean;
}

/** RFC 6238. */
export interface Totp {
  /** `secret` as `formatTotp` writes it. The time step of a code that is good now, give or take one; null for any other. */
  stepOf(secret: string, code: string): number | null;
}

/** Seals what the database must not be able to read. */
export interface Sealer {
  seal(text: string, context: string): Uint8Array;
  /** @throws when it was sealed under another key or for another context. */
  open(sealed: Uint8Array, context: string): string;
  /** HMAC-SHA-256 in hex under a key of its own: the same name gives the same value here and means nothing elsewhere. */
  fingerprint(text: string): string;
  /** Whether `fingerprint` gave this value, under the key of today or one that is being replaced. */
  isFingerprint(value: string, text: string): boolean;
}

/** How the database marks a session whose account's password was too old when it was opened. */
export const PASSWORD_EXPIRED = 'password expired';

/** Session limits in seconds. */
export const SESSION_LIMITS = { idle: 30 * 60, absolute: 12 * 60 * 60 } as const;

/** Sign-ins that no phisher can pass on, and those with two factors that one could. */
const PHISHING_RESISTANT: readonly string[] = ['passkey', 'webauthn'];
const SECOND: readonly string[] = ['totp', 'recovery code', FACTORS.secondFactor];

/** How strongly a session was opened. */
export function strengthOf(factors: readonly string[]): Strength {
  if (factors.some((factor) => PHISHING_RESISTANT.includes(factor))) return 'phishing-resistant';
  return factors.some((factor) => SECOND.includes(factor)) ? 'second-factor' : 'password';
}
