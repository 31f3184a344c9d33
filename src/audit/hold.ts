/** What a legal hold matches: records that have all of these. */
export interface HoldFilter {
  readonly actor: string | null;
  readonly action: string | null;
  readonly resource: string | null;
  readonly request_id: string | null;
  readonly from: string | null;
  readonly to: string | null;
}

/** Partitions that hold a matching record keep their bodies until it is released. */
export interface LegalHold extends HoldFilter {
  readonly id: string;
  readonly reason: string;
  readonly placed_by: string;
  readonly placed_at: string;
  readonly released_by: string | null;
  readonly release_reason: string | null;
  readonly released_at: string | null;
}

/** The last ones placed first, released ones too: that there was a hold is itself evidence. */
export type ListHolds = () => Promise<readonly LegalHold[]>;
