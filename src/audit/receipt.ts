/** A record of one's own request, as it was hashed. */
export interface OwnRecord {
  readonly seq: number;
  readonly kind: 'intent' | 'outcome';
  readonly record: string;
  /** RFC 9162 leaf hash, hex. */
  readonly leaf: string;
  /** Key of the commitments in hex; null where there is none, or it was erased. */
  readonly opening: string | null;
}

/** MUST find records of this subject alone, whatever the request id; oldest first, empty where there is none. */
export type FindOwnRecords = (subject: string, requestId: string) => Promise<readonly OwnRecord[]>;

/**
 * Intent and outcome. Of several outcomes (another gateway had closed the intent, and its own came late) it is the one
 * that commits to the texts, else the last.
 */
export function pairOf(records: readonly OwnRecord[]): { intent: OwnRecord; outcome: OwnRecord | null } | null {
  const intent = records.find(({ kind }) => kind === 'intent');
  const outcomes = records.filter(({ kind }) => kind === 'outcome');
  if (intent === undefined) return null;
  return { intent, outcome: outcomes.find(({ opening }) => opening !== null) ?? outcomes.at(-1) ?? null };
}
