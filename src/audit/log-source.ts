import type { ReadNode } from './merkle.shared.ts';
import type { RecordColumns } from './record.shared.ts';

/** A place of the log, as it is stored. What is null is not there. */
export interface LogRow {
  readonly seq: number;
  /** The copies for searching; null also where this source keeps none. */
  readonly columns: (RecordColumns & { readonly eventId: string }) | null;
  /** The hashed text. */
  readonly record: string | null;
  readonly leaf: Uint8Array | null;
}

/** The stored nodes of one level whose last leaf stands in a page, from left to right without separator. */
export interface NodeRun {
  readonly level: number;
  /** Index of the first that is stored; null where none is. */
  readonly first: number | null;
  readonly hashes: Uint8Array;
}

/** The places from `from` up to but not including `to`. */
export interface LogPage {
  readonly from: number;
  readonly to: number;
  /** Those of which anything is stored, in order. */
  readonly rows: readonly LogRow[];
  /** For each level that this source stores one run, also an empty one. */
  readonly nodes: readonly NodeRun[];
}

export interface StoredCheckpoint {
  readonly size: number;
  /** The copy of its root; null where this source keeps none. */
  readonly root: Uint8Array | null;
  readonly note: string;
}

/** How much is stored, all read at one moment. */
export interface LogExtent {
  /** What the log says of itself. */
  readonly size: number;
  /** Highest seq of a record or leaf, plus one. */
  readonly stored: number;
  /** First seq that is stored: not 0 in an export of a range. */
  readonly first: number;
  /** One past the last seq that can be read here. */
  readonly end: number;
  /** Leaves that the stored nodes cover. */
  readonly tree: number;
  /** Size of the largest checkpoint; 0 without one. */
  readonly signed: number;
}

export interface OpenIntent {
  readonly seq: number;
  readonly eventId: string;
}

/** A node is not there that must be. */
export class LostNode extends Error {
  override readonly name = 'LostNode';
  readonly from: number;
  readonly to: number;

  constructor(level: number, index: number) {
    super(`the tree has lost node ${index} of level ${level}`);
    this.from = index * 2 ** level;
    this.to = this.from + 2 ** level - 1;
  }
}

/**
 * Where a log is read from to be verified. MUST hand out what is stored and judge nothing; MUST see everything, not
 * seven days; MUST NOT hold more than a page or two in memory.
 */
export interface LogSource {
  /** For people: what is being verified. */
  readonly name: string;
  extent(): Promise<LogExtent>;
  /** All pages in order; `tree` is that of {@link extent}. */
  pages(from: number, to: number, tree: number): AsyncIterable<LogPage>;
  /** Ascending by size, from the first with `size >= from`. */
  checkpoints(from: number): AsyncIterable<StoredCheckpoint>;
  /** @throws LostNode */
  readonly readNode: ReadNode;
  /** The last record of dropped bodies, as its text; null where it names none. */
  lastDrop(): Promise<string | null>;
  /** Notes of the rotations of the key, as they are stored; whoever reads them opens them. */
  rotations(): Promise<readonly string[]>;
  /** Intents that are not settled, as the store keeps them; null where it doesn't know. */
  openIntents(): Promise<readonly OpenIntent[] | null>;
  /** Whether an outcome of this intent stands at or after `seq`: behind the range, or it was settled while we read. */
  settledSince(intent: { readonly eventId: string; readonly request: string | null }, seq: number): Promise<boolean>;
}
