import { ROLES, type Role } from '#kernel/principal.ts';
import type { LogoutToken } from './logout-token.ts';

/** Claims of an ID token whose signature, issuer, audience, times and nonce have been checked. */
export type Claims = Readonly<Record<string, unknown>>;

/** How the provider's words become ours; from the configuration. */
export interface ClaimMapping {
  readonly usernameClaim: string;
  readonly roleClaim: string;
  readonly roles: Readonly<Record<string, Role>>;
  readonly attributes: {
    readonly department?: string | undefined;
    readonly clearance?: string | undefined;
    readonly branch?: string | undefined;
  };
  /** Values of `acr` or `amr` that mean: a second factor was shown. */
  readonly secondFactorAcr: readonly string[];
}

/** What a user may do here, by his provider's word. */
export interface Rights {
  readonly roles: readonly Role[];
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
}

/** A user as his provider describes him. */
export interface ExternalIdentity extends Rights {
  /** Issuer and subject; the only thing by which he is recognised again (OpenID Connect Core 1.0, section 5.7). */
  readonly externalSubject: string;
  readonly username: string;
  readonly hasSecondFactor: boolean;
}

/** An account that a provider vouches for, as the database has it. */
export interface FederatedAccount extends Rights {
  readonly id: string;
  readonly epoch: number;
  readonly disabled: boolean;
}

export interface FederatedAccountStore {
  /** Also a disabled one. Null for a subject that has not signed in yet. */
  findFederated(externalSubject: string): Promise<FederatedAccount | null>;
}

/** One sign-in between leaving for the provider and coming back. Everything in it is a secret of this browser. */
export interface PendingSignIn {
  readonly state: string;
  readonly nonce: string;
  /** PKCE (RFC 7636): what the code alone is worth nothing without. */
  readonly verifier: string;
  /** The user was asked to prove himself again, whatever session the provider has. */
  readonly fresh: boolean;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** The relying party's side of the code flow. */
export interface IdentityProvider {
  /** Where to send the browser. @throws ProviderUnavailable */
  authorizationUrl(pending: PendingSignIn): Promise<string>;
  /**
   * Exchanges the code. MUST check state, nonce, PKCE, and of the ID token the signature, issuer, audience, times and
   * an algorithm that is on our own list (RFC 9700, RFC 8725); with `fresh` also `auth_time`.
   *
   * @throws ProviderUnavailable, or anything else for an answer that is not good
   */
  exchange(parameters: URLSearchParams, pending: PendingSignIn): Promise<Claims>;
  /**
   * A logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6), checked whole; null for anything else.
   *
   * @throws ProviderUnavailable when the provider's keys can't be had
   */
  logoutToken(text: string): Promise<LogoutToken | null>;
}

/** The provider can't be reached or does not answer as one. Nothing that the user did. */
export class ProviderUnavailable extends Error {
  override readonly name = 'ProviderUnavailable';
}

/** A sign-in may take so long, from leaving to coming back. */
export const PENDING_SECONDS = 600;
/** A session whose user has just proved himself again may do for so long what else asks for the password. */
export const FRESH_SECONDS = 300;

/** What a session says of how it was opened. */
export const FACTORS = {
  provider: 'provider',
  secondFactor: 'provider second factor',
  fresh: 'provider, asked again',
} as const;

export type MappingRefusal = 'no_subject' | 'no_username' | 'no_role';

/** Short enough for a column and a screen, and nothing in it that a terminal or a policy would read as more than a name. */
const USERNAME = /^[a-z0-9][a-z0-9._@+-]{1,127}$/;
const LABEL_LENGTH = 64;

/** Who the claims describe, or why nobody is let in by them. What is missing or odd gives less, never more. */
export function identityOf(claims: Claims, mapping: ClaimMapping): ExternalIdentity | MappingRefusal {
  const externalSubject = subjectOf(claims);
  if (externalSubject === null) return 'no_subject';
  const name = claimAt(claims, mapping.usernameClaim);
  const username = typeof name === 'string' ? name.trim().toLowerCase() : '';
  if (!USERNAME.test(username)) return 'no_username';
  const roles = rolesOf(claimAt(claims, mapping.roleClaim), mapping.roles);
  if (roles.length === 0) return 'no_role';
  const { department, clearance, branch } = mapping.attributes;
  return {
    externalSubject,
    username,
    roles,
    department: labelOf(claimAt(claims, department)),
    clearance: clearanceOf(claimAt(claims, clearance)),
    branch: labelOf(claimAt(claims, branch)),
    hasSecondFactor: stringsOf([claims['acr'], claims['amr']].flat()).some((value) =>
      mapping.secondFactorAcr.includes(value),
    ),
  };
}

/** Issuer and subject in one, or null where they are no such thing. An issuer is an address: it holds no blank. */
export function subjectOf({ iss, sub }: Claims): string | null {
  if (typeof iss !== 'string' || typeof sub !== 'string' || iss === '' || sub === '' || sub.length > 255) return null;
  return `${iss} ${sub}`;
}

/** The provider's own session, by which it may end ours later; null where it names none. */
export const sidOf = ({ sid }: Claims): string | null =>
  typeof sid === 'string' && sid !== '' && sid.length <= 255 ? sid : null;

/** Whether an account is as the provider describes it now. */
export const hasSameRights = (a: Rights, b: Rights): boolean =>
  a.department === b.department &&
  a.clearance === b.clearance &&
  a.branch === b.branch &&
  a.roles.length === b.roles.length &&
  a.roles.every((role) => b.roles.includes(role));

/** A claim by its whole name, else by a path: `realm_access.roles`. Own members only. */
function claimAt(claims: Claims, name: string | undefined): unknown {
  if (name === undefined) return undefined;
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Claims)[part];
  }
  return value;
}

const stringsOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string');

function rolesOf(value: unknown, given: Readonly<Record<string, Role>>): Role[] {
  const roles = stringsOf(value).map((one) => (Object.hasOwn(given, one) ? given[one] : undefined));
  return ROLES.filter((role) => roles.includes(role));
}

/** Policy compares labels exactly: one that is too long or not text is none. */
function labelOf(value: unknown): string {
  const label = typeof value === 'string' ? value.trim() : '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return label.length <= LABEL_LENGTH && !/[\u0000-\u001f\u007f|]/.test(label) ? label : '';
}

function clearanceOf(value: unknown): number {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^[0-4]$/.test(text) ? Number(text) : 0;
}
