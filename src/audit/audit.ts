import type { WholeRow } from './export-lines.ts';

export interface EventFilter {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly resource?: string | undefined;
  readonly outcome?: string | undefined;
  readonly request_id?: string | undefined;
  /** Records before this seq. */
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** What a filter means in the log as it is now. */
export interface Narrowed {
  /** First and last seq of the time that is asked for, in decimal. */
  readonly low: string;
  readonly high: string;
  /** Ids; null where anybody will do. */
  readonly actors: readonly string[] | null;
}

/** `seq` in decimal: it may pass 2^53. `at` has six decimals, as in the record. */
export interface StoredEvent {
  readonly seq: string;
  readonly at: string;
  readonly kind: string;
  readonly actor: string;
  readonly actorName: string | null;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
  readonly requestId: string | null;
}

export interface StoredRecord extends StoredEvent {
  /** The exact text that was hashed. */
  readonly record: string;
  /** RFC 9162 leaf hash, hex. */
  readonly leaf: string;
}

/**
 * What auditors read. MUST run under the auditor's database role, whose row-level security shows the last seven days by
 * the database's clock; nothing in a filter widens that.
 */
export interface AuditReader {
  /** Newest first, at most `limit`. */
  page(filter: EventFilter): Promise<readonly StoredEvent[]>;
  /** Null for a record that does not exist or is older than seven days. */
  find(seq: string): Promise<StoredRecord | null>;
  /** Null where nothing lies in the time that is asked for. */
  narrow(filter: Omit<EventFilter, 'limit'>): Promise<Narrowed | null>;
  /** Oldest first, at most `limit`, from the seq `from` up to but not including `to`. */
  rows(filter: EventFilter, narrowed: Narrowed, from: number, to: number): Promise<readonly WholeRow[]>;
}
