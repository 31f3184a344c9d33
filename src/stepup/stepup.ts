import type { Assertion } from '#identity/webauthn.ts';

export interface OpenChallenge {
  readonly operation: string;
  /** SHA-256 over the operation, hex: what the proof will be good for. */
  readonly digest: string;
  /** Sealed; null where the account has no authenticator app. */
  readonly totpSecret: Uint8Array | null;
}

/** Open challenges. `ref` is the SHA-256 of the challenge in hex. */
export interface ChallengeStore {
  /** Null for one that is unknown, of another session, older than five minutes, answered, or guessed at five times. */
  findChallenge(ref: string, session: string): Promise<OpenChallenge | null>;
}

/** What the user shows for a challenge. */
export type Answer = { readonly code: string } | { readonly assertion: Assertion };

/** What is hashed and stored of a proof: bound to its session, so that shown in another one it is not found. */
export const proofText = (session: string, proof: string): string => `${session} ${proof}`;
