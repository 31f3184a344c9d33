import { Problem } from '#kernel/problem.ts';

/**
 * `nist`: length and a blocklist, no composition rules, exactly as typed (NIST SP 800-63B-4, section 3.1.1.2).
 * `mlps3`: beside that what Chinese MLPS level 3 asks (three of four sorts of characters, a change every 90 days), which
 * contradicts NIST and ASVS.
 */
export type PasswordProfile = 'nist' | 'mlps3';

export interface PasswordRules {
  readonly profile: PasswordProfile;
  /** Lower-case texts that no password may be, or be made of. */
  readonly blocked: ReadonlySet<string>;
}

const ALONE = 15;
const WITH_SECOND_FACTOR = 8;
const MAX_PASSWORD = 128;
const PRODUCT = 'strongroom';
const MAX_AGE_DAYS = { nist: null, mlps3: 90 } as const;

/** Days after which a password must be changed; null for never. */
export const maxAgeDays = (profile: PasswordProfile): number | null => MAX_AGE_DAYS[profile];

/** @throws Problem `invalid_parameter` that says what a password needs, never what this one is. */
export function checkNewPassword(
  password: string,
  username: string,
  hasSecondFactor: boolean,
  rules: PasswordRules,
): void {
  const least = hasSecondFactor ? WITH_SECOND_FACTOR : ALONE;
  const length = [...password].length;
  if (length < least || length > MAX_PASSWORD) throw weak(`A password has ${least} to ${MAX_PASSWORD} characters.`);
  if (isGuessable(password.toLowerCase(), username.toLowerCase(), rules.blocked)) {
    throw weak(
      'This password is too easy to guess: it is a common one, holds your name or the product’s, or repeats itself.',
    );
  }
  if (rules.profile === 'mlps3' && sortsOf(password) < 3) {
    throw weak('A password holds at least three of: small letters, capital letters, digits, other characters.');
  }
}

const weak = (message: string): Problem => new Problem('invalid_parameter', { message, param: 'password' });

function isGuessable(lower: string, username: string, blocked: ReadonlySet<string>): boolean {
  if (lower.includes(username) || lower.includes(PRODUCT) || new Set(lower).size < 5) return true;
  // What is left of a common word with digits and signs around it, or said twice, is that common word.
  const core = lower.replaceAll(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  const half = lower.slice(0, lower.length / 2);
  return blocked.has(lower) || blocked.has(core) || (half + half === lower && blocked.has(half));
}

const sortsOf = (password: string): number =>
  [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u].filter((sort) => sort.test(password)).length;

/** One text a line; `#` begins a comment. */
export const parseBlocklist = (text: string): ReadonlySet<string> =>
  new Set(
    text
      .split('\n')
      .map((line) => line.trim().toLowerCase())
      .filter((line) => line !== '' && !line.startsWith('#')),
  );
