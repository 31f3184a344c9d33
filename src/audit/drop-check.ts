import { equalBytes } from '#kernel/bytes.ts';
import { covers, type DropStatement, dropFault, parseDrop, type SeqRange, statementOf } from './drop.ts';
import type { KeyRing } from './key-ring.shared.ts';
import type { Findings } from './log-check.ts';
import { LostNode } from './log-source.ts';
import { type ReadNode, rootOf, type SyncSha256 } from './merkle.shared.ts';
import { NoteFault, parseNote } from './note.shared.ts';
import { type LogRecord, parseRecord } from './record.shared.ts';

/** Bodies that are gone by a record of it. */
export interface DroppedRange extends SeqRange {
  /** Seq and time of the last record that says so. */
  readonly by: number;
  readonly at: string;
}

interface JudgedDrop {
  readonly record: LogRecord;
  readonly drop: DropStatement;
}

/**
 * Judges what the log says of dropped bodies. The last such record is read first: it tells which bodies may be missing,
 * if the log's key signed it. Every other one is judged when all of the log has been seen.
 */
export class DropCheck {
  readonly #ring: KeyRing | null;
  readonly #findings: Findings;
  #last: JudgedDrop | null = null;
  /** Seq of the record that was read first. */
  #read: number | null = null;

  constructor(ring: KeyRing | null, findings: Findings) {
    this.#ring = ring;
    this.#findings = findings;
  }

  /** `text`: the record that the source names as the last one; null where it names none. */
  async read(text: string | null): Promise<readonly DroppedRange[]> {
    if (text === null) return [];
    const record = parseRecord(text);
    if (typeof record === 'string') {
      this.#findings.add('drop', 0, `the record of dropped bodies can't be read: ${record}`);
      return [];
    }
    this.#read = record.seq;
    const drop = await this.#open(record);
    if (drop === null) return [];
    this.#last = { record, drop };
    return drop.dropped.map((range) => ({ ...range, by: record.seq, at: record.at }));
  }

  /** `records`: of drops, found in the log. `tree`: leaves that the stored nodes cover. */
  async judge(records: readonly LogRecord[], tree: number, sha256: SyncSha256, readNode: ReadNode): Promise<void> {
    const judged: JudgedDrop[] = this.#last === null ? [] : [this.#last];
    for (const record of records) {
      if (record.seq === this.#read) continue;
      const drop = await this.#open(record);
      if (drop !== null) judged.push({ record, drop });
    }
    for (const { record, drop } of judged) {
      const fault = dropFault(drop, record.at);
      if (fault !== null) this.#findings.add('drop', record.seq, fault);
      if (drop.to > record.seq) this.#findings.add('drop', record.seq, 'the record drops what comes after it');
      if (this.#last !== null && !drop.dropped.every((range) => covers(this.#last?.drop.dropped ?? [], range))) {
        this.#findings.add('drop', record.seq, 'a later record of dropped bodies leaves out what this one says');
      }
      const root = drop.to > tree ? null : await this.#rootAt(drop.to, sha256, readNode);
      if (root !== null && !equalBytes(root, drop.root)) {
        this.#findings.add('drop', record.seq, `the root that it gives for size ${drop.to} is not the tree's`);
      }
    }
  }

  async #rootAt(size: number, sha256: SyncSha256, readNode: ReadNode): Promise<Uint8Array | null> {
    try {
      return await rootOf(sha256, size, readNode);
    } catch (error) {
      // An export of a range has no such nodes; where they are lost, that is a finding of its own.
      if (error instanceof LostNode) return null;
      throw error;
    }
  }

  async #open(record: LogRecord): Promise<DropStatement | null> {
    const note = statementOf(record);
    if (note === null) {
      this.#findings.add('drop', record.seq, 'the record of dropped bodies holds no statement');
      return null;
    }
    try {
      const drop = parseDrop(this.#ring === null ? parseNote(note).text : await this.#ring.openNote(note));
      if (this.#ring === null || drop.origin === this.#ring.inForce.key.name) return drop;
      throw new NoteFault('it is of another log');
    } catch (error) {
      if (!(error instanceof NoteFault)) throw error;
      this.#findings.add('drop', record.seq, `the record of dropped bodies is none: ${error.message}`);
      return null;
    }
  }
}
