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

/** Words of the log's own vocabulary and ids. */
const WORDS: Readonly<Record<string, RegExp>> = {
  actor: /^(usr_[0-9a-f]{1,32}|system|anonymous)$/,
  action: /^[a-z_-]+(\.[a-z_-]+)*$/,
  resource: /^[a-z_]+:[A-Za-z0-9_.-]+$/,
  outcome: /^[a-z_]+$/,
  request_id: /^req_[0-9a-f]{1,32}$/,
};

/**
 * A filter as it may stand on the record for good: a person's name (which lives in an erasable table alone), and what
 * somebody typed into the wrong field, are only said to have been there.
 */
export const filtersOnRecord = (filter: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(filter, (name, value: unknown) => {
    const word = WORDS[name];
    return word === undefined || value === undefined || word.test(String(value)) ? value : '(not kept)';
  });

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
