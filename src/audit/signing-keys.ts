/** A key as the database keeps it: in force for checkpoints of more than `after` records. */
export interface RegisteredKey {
  readonly origin: string;
  /** 32 bytes, RFC 8032. */
  readonly publicKey: Uint8Array;
  readonly after: number;
  /** The rotation that put it in force, signed by it and by the key before it; null for the first. */
  readonly note: string | null;
}

export const rotationsOf = (keys: readonly RegisteredKey[]): string[] =>
  keys.flatMap(({ note }) => (note === null ? [] : [note]));
