import type { Role } from '#kernel/principal.ts';

/** An account as the first run makes it and `.strongroom/first-run.json` keeps it until its owner changes it. */
export interface FirstRunAccount {
  readonly username: string;
  readonly password: string;
  readonly role: Role;
  /** Base32; the admin's second factor. */
  readonly totpSecret?: string;
}

export interface FirstRun {
  readonly url: string;
  readonly caFile: string;
  readonly accounts: readonly FirstRunAccount[];
}

/** One account per role that a person has. */
export const FIRST_RUN_ROLES = [
  { username: 'analyst', role: 'analyst', department: 'risk', clearance: 2 },
  { username: 'auditor', role: 'auditor', department: 'audit', clearance: 2 },
  { username: 'admin', role: 'admin', department: 'operations', clearance: 2 },
] as const;

const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

/** 20 characters of 31 in five groups, 99 bits: easy to type, hard to guess. `bytes` are random, at least 60 of them. */
export function readablePassword(bytes: Uint8Array): string {
  const characters: string[] = [];
  // Bytes past the last whole multiple of 31 would make some letters likelier.
  for (const byte of bytes) if (byte < 248 && characters.length < 20) characters.push(ALPHABET[byte % 31] ?? '');
  if (characters.length < 20) throw new RangeError('too few random bytes');
  return (characters.join('').match(/.{4}/g) ?? []).join('-');
}
