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
}
