import type { Account } from './identity.ts';
import type { PasskeyUse } from './webauthn.ts';

/** The factor that a sign-in shows beside the password. */
export interface Factor {
  readonly name: 'totp' | 'recovery code' | 'passkey';
  readonly step: number | null;
  readonly recovery: string | null;
  readonly passkey: PasskeyUse | null;
}

/** Somebody who has shown his password. */
export interface Known {
  readonly account: Account;
  /** Stands for the username in counters, whether anybody has it or not. */
  readonly name: string;
  /** '' for a device that never signed in to this account. */
  readonly device: string;
}

export interface SignedIn {
  readonly token: string;
  readonly expiresAt: string;
  readonly account: Account;
  /** For the device cookie: this device has its own count of guesses from now on. */
  readonly device: string;
  /** The password is too old: a new one is all that this session may set. */
  readonly mustChangePassword: boolean;
}
