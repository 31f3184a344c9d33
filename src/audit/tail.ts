import type { WholeRow } from './export-lines.ts';
import type { LogSource } from './log-source.ts';

/** How far somebody has followed the log. */
export interface TailPosition {
  /** The first seq that is still to come. */
  readonly next: number;
  /** Leaf hash, in hex, of the one before: shows that it is still the same log. Null at the beginning. */
  readonly leaf: string | null;
}

export interface TailPositions {
  /** Null where nothing is stored yet. @throws Error for what is there and can't be read. */
  load(): Promise<TailPosition | null>;
  /** Resolves when it is on disk; never leaves a half-written one behind. */
  save(position: TailPosition): Promise<void>;
}

/** Where records go. Any failure of it means that all since the last `confirm` are sent again. */
export interface TailSink {
  /** MUST hold back while the receiver is slower than the log. */
  write(rows: readonly WholeRow[]): Promise<void>;
  /** Resolves when everything written has arrived, as far as the way there can tell. */
  confirm(): Promise<void>;
  /** Gives up what is under way; the next write begins anew. */
  reset(): void;
  /** How long, and over how many records, a confirmation may be put off. */
  readonly confirmAfter: { readonly milliseconds: number; readonly records: number };
}

export type TailSource = Pick<LogSource, 'extent' | 'pages' | 'readNode'> & AsyncDisposable;

/** The log is not the one that was followed, or records are gone: waiting does not mend that. */
export class TailFault extends Error {
  override readonly name = 'TailFault';
}
