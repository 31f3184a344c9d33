import type { ReadNode } from './merkle.shared.ts';

/** A tree as one says it: its number of leaves and the root over them (RFC 9162, section 2.1.1). */
export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** A checkpoint as it is stored. `note` is what was signed; nothing beside it is believed. */
export interface SignedCheckpoint extends TreeHead {
  readonly note: string;
}

/** `size`: leaves that the stored nodes cover. `log`: records that are committed. */
export interface TreeState {
  readonly size: number;
  readonly log: number;
}

/** The stored tree. Reads only, on any gateway. */
export interface TreeReader {
  state(): Promise<TreeState>;
  /** MUST read all nodes that are asked for in one turn in one round trip. @throws MissingNode */
  readonly readNode: ReadNode;
  latest(): Promise<SignedCheckpoint | null>;
  at(size: number): Promise<SignedCheckpoint | null>;
}

/**
 * The right to extend and to sign, held by one gateway at a time. Every call MUST fail once another one has taken over,
 * also for a call that was already on its way.
 */
export interface Leadership {
  /** Takes at most `limit` more records into the tree, in one transaction. */
  extend(limit: number): Promise<TreeState>;
  /** MUST refuse what is not larger than every checkpoint before it. */
  publish(checkpoint: SignedCheckpoint): Promise<void>;
}

/** What this gateway has last seen of the log, kept where the database's administrator can't reach it. */
export interface AuditMemory {
  /** Null where nothing is remembered yet: the first use. @throws Error when it is there and can't be read. */
  load(): Promise<RememberedHead | null>;
  /** Resolves when it is on disk. MUST never leave a half-written one behind. */
  save(head: RememberedHead): Promise<void>;
}
export interface RememberedHead extends TreeHead {
  readonly origin: string;
}

/** The store has no such node, which it would have if it still held the log that was seen before. */
export class MissingNode extends Error {
  override readonly name = 'MissingNode';
}

/** The log in the database is not the one that was seen before: rolled back, or rewritten. */
export class LogFault extends Error {
  override readonly name = 'LogFault';
}

/** What this gateway knows of the tree without asking. */
export interface TreeReadings {
  /** Records under the last checkpoint that was followed. */
  readonly size: number;
  readonly leads: boolean;
  readonly fault: boolean;
  /** Since a new checkpoint was last seen; on a log that grows it stays near one. */
  readonly checkpointAgeSeconds: number;
}
