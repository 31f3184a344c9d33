/** The roles that the product knows. A role that is not in this list gives nothing (default deny). */
export const ROLES = ['admin', 'analyst', 'auditor', 'service'] as const;
export type Role = (typeof ROLES)[number];

/** Attributes that policy may ask for: validated strings and numbers only (Casbin's `==` coerces anything else). */
export interface Attributes {
  readonly department: string;
  /** 0 (public) to 4 (secret); compared as a number. */
  readonly clearance: number;
  readonly branch: string;
  /** What he is certified for, such as `credit-risk`; at most 16. */
  readonly certifications: readonly string[];
}

/**
 * How strongly somebody has shown who he is, from weak to strong. `none`: a program with an API key, no person at all.
 */
export const STRENGTHS = ['none', 'password', 'second-factor', 'phishing-resistant'] as const;
export type Strength = (typeof STRENGTHS)[number];

/** What an API key is limited to within its account's rights; null means no narrower. */
export interface KeyScope {
  readonly models: readonly string[] | null;
  readonly actions: readonly string[] | null;
}

/** How the caller proved who he is. `ref` is never the credential itself: a session's hash, or a key's public id. */
export interface Credential {
  readonly kind: 'session' | 'api_key';
  readonly ref: string;
}

/** Whether a fresh second factor can be asked for at all. */
export const hasSecondFactor = ({ hasTotp, hasPasskey }: Pick<Principal, 'hasTotp' | 'hasPasskey'>): boolean =>
  hasTotp || hasPasskey;

/** Somebody who has authenticated. Cached; whether it still holds is decided at admission, under the head lock. */
export interface Principal {
  /** Opaque user id (`usr_…`): the actor in audit records and the subject of quotas. */
  readonly subject: string;
  readonly username: string;
  readonly roles: readonly Role[];
  readonly attributes: Attributes;
  readonly credential: Credential;
  /** Second factors that this account has activated, if any. */
  readonly hasTotp: boolean;
  readonly hasPasskey: boolean;
  /**
   * A role of this account demands a second factor that it has not set up, or that this session has not shown: it may
   * do that, and nothing else.
   */
  readonly restricted: boolean;
  readonly strength: Strength;
  /** The password had outlived its profile when this session was opened: it may change it, and nothing else. */
  readonly mustChangePassword?: boolean;
  /** Null for a session. */
  readonly scope: KeyScope | null;
  /** Counts every change to the account, its roles or factors; a mismatch at admission means: load it again. */
  readonly epoch: number;
  /** RFC 3339, absolute end of the session; null for an API key without expiry. */
  readonly expiresAt: string | null;
}
