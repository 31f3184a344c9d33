/** Open challenges. `ref` is the SHA-256 of the challenge in hex. */
export interface ChallengeStore {
  /** Null for one that is unknown, of another session, older than five minutes, answered, or guessed at five times. */
  findChallenge(
    ref: string,
    session: string,
  ): Promise<{ readonly operation: string; readonly totpSecret: Uint8Array } | null>;
}

/** What is hashed and stored of a proof: bound to its session, so that shown in another one it is not found. */
export const proofText = (session: string, proof: string): string => `${session} ${proof}`;
