import type { Role } from '#kernel/principal.ts';

/** An account as admins see it. Times are RFC 3339. */
export interface UserEntry {
  readonly id: string;
  readonly username: string;
  readonly roles: readonly Role[];
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  readonly certifications: readonly string[];
  readonly state: 'active' | 'invited' | 'disabled';
  readonly hasTotp: boolean;
  readonly hasPasskey: boolean;
  readonly createdAt: string;
  readonly lastSignInAt: string | null;
}

export interface OwnSession {
  /** SHA-256 of the token, hex. */
  readonly ref: string;
  readonly factors: readonly string[];
  readonly createdAt: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
}

/** Reads for user management and self-service. Changes go through the recorder. */
export interface UserStore {
  /** By username. */
  listAccounts(): Promise<readonly UserEntry[]>;
  /** Admins who can sign in: while there is none, the first may be made without one. */
  countActiveAdmins(): Promise<number>;
  /** `ref`: SHA-256 of the link's token. Null for one that is unknown, used or over. */
  findEnrolment(
    ref: string,
  ): Promise<{ readonly id: string; readonly username: string; readonly roles: readonly Role[] } | null>;
  /** The sealed secret that waits for its first good code. */
  pendingTotp(account: string): Promise<Uint8Array | null>;
  listSessions(account: string): Promise<readonly OwnSession[]>;
}

/**
 * Bounds guessing. A guess MUST be taken before it is judged, so that parallel ones count over all replicas.
 * `what` names an account whether it exists or not; devices that nobody knows share the device ''.
 */
export interface GuessLimiter {
  /** Seconds to wait, or 0 where the guess may be judged. */
  take(what: string, device: string): Promise<number>;
  /** For what turned out to be no guess, such as a code that was used before. */
  giveBack(what: string, device: string): Promise<void>;
  /** After a success. */
  clear(what: string, device: string): Promise<void>;
}

/** Names a session to its owner; opens nothing. */
export const sessionId = (ref: string): string => `ses_${ref.slice(0, 32)}`;
