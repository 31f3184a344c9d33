/** From where, and under which request, somebody does something. */
export interface Origin {
  readonly requestId: string;
  /** Of the client. */
  readonly address: string;
  /** Of the trusted proxy that the request came through; null where the client itself was connected to us. */
  readonly peer: string | null;
}

/** What a record says of it: `peer` only where it is another than the client. */
export const sourceFacts = ({ address, peer }: Pick<Origin, 'address' | 'peer'>): Readonly<Record<string, string>> =>
  peer === null ? { address } : { address, peer };
