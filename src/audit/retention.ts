import type { SeqRange } from './drop.ts';

/**
 * What a partition waits for. `open`: it is not full. `young`: its newest record is. `intents`: a request in it has no
 * outcome yet. `unsigned`: no checkpoint covers it. `held`: a legal hold touches it. `incomplete`: bodies are missing.
 */
export type RetentionVerdict = 'due' | 'open' | 'young' | 'intents' | 'unsigned' | 'held' | 'incomplete';

export interface LogPartition extends SeqRange {
  readonly verdict: RetentionVerdict;
  /** `at` of its newest record; null where that was not looked at. */
  readonly newest: string | null;
  /** Id of the hold, for `held`. */
  readonly hold: string | null;
  /** All dropped ranges with this one, as the record says them. */
  readonly dropped: string;
}

/** What the database does for retention; it refuses whatever is younger than 184 days. */
export interface RetentionStore {
  /** Oldest first. */
  state(days: number): Promise<readonly LogPartition[]>;
  /** Closes a partition that is a month old and not full. MUST fail rather than wait long for a reader. */
  cut(): Promise<number | null>;
  /** Deletes at most `limit` keys of commitments of dropped bodies; resolves with how many. */
  forgetOpenings(limit: number): Promise<number>;
}

export interface RetentionReport {
  /** Seq at which a new partition was begun; null where none was due. */
  readonly cut: number | null;
  readonly dropped: readonly (SeqRange & { readonly newest: string })[];
  /** Partitions that stay although they are old enough. */
  readonly kept: readonly (SeqRange & { readonly verdict: RetentionVerdict; readonly hold: string | null })[];
  readonly openings: number;
}
