import { equalBytes } from '#kernel/bytes.ts';
import { DROP_ACTION, type SeqRange } from './drop.ts';
import { IntentPairs } from './intent-pairs.ts';
import type { LogPage, LogRow, NodeRun } from './log-source.ts';
import type { RootBuilder, SyncSha256 } from './merkle.shared.ts';
import { type LogRecord, parseRecord } from './record.shared.ts';

export type FindingKind =
  | 'missing'
  | 'record'
  | 'column'
  | 'leaf'
  | 'time'
  | 'node'
  | 'root'
  | 'checkpoint'
  | 'cut'
  | 'beyond'
  | 'pair'
  | 'drop';

/** Something that is wrong with the log. */
export interface Finding {
  readonly kind: FindingKind;
  /** The place, or the first of those where it must be. */
  readonly seq: number;
  /** The last of them. */
  readonly to: number;
  readonly detail: string;
  /** Place of another finding that may be why. */
  readonly follows?: number;
}

/** So many are kept; the others are counted. */
const KEPT = 200;
/** Of what the tree is made; a column, say, is not. */
const HASHED: ReadonlySet<FindingKind> = new Set(['missing', 'leaf', 'node', 'root']);
/** Where a record can't be read, or not as it was. */
const BODIES: ReadonlySet<FindingKind> = new Set(['missing', 'record', 'leaf']);
const NO_HASH = new Uint8Array(32);

export class Findings {
  readonly kept: Finding[] = [];
  count = 0;

  add(kind: FindingKind, seq: number, detail: string, to = seq): void {
    this.count++;
    if (this.kept.length < KEPT) this.kept.push({ kind, seq, to, detail });
  }

  /** As {@link add}, of something that is looked for behind `seq` and may be what is wrong there. */
  addLost(kind: FindingKind, seq: number, detail: string): void {
    const follows = this.kept.find((one) => BODIES.has(one.kind) && one.to > seq)?.seq;
    this.add(kind, seq, detail);
    const last = this.kept.at(-1);
    if (follows !== undefined && last?.seq === seq && last.kind === kind) {
      this.kept[this.kept.length - 1] = { ...last, follows };
    }
  }

  /** As {@link add}; places that follow each other are one finding. */
  addRun(kind: FindingKind, seq: number, detail: string): void {
    const last = this.kept.at(-1);
    if (last?.kind !== kind || last.detail !== detail || last.to !== seq - 1) this.add(kind, seq, detail);
    else this.kept[this.kept.length - 1] = { ...last, to: seq };
  }

  /** Whether a hash in these places is already known to be wrong: then what is above it must be, too. */
  explains(from: number, to: number): boolean {
    return (
      this.count > KEPT || this.kept.some(({ kind, ...one }) => HASHED.has(kind) && one.seq < to && one.to >= from)
    );
  }

  /** The one with the lowest seq; what may follow from another one comes after it. */
  get first(): Finding | null {
    const at = ({ seq, follows }: Finding): number => follows ?? seq;
    return this.kept.reduce<Finding | null>((low, one) => (low === null || at(one) < at(low) ? one : low), null);
  }
}

export interface LogCheckOptions {
  readonly sha256: SyncSha256;
  readonly findings: Findings;
  /** From there on records are looked at. */
  readonly from: number;
  /** Bodies that may be gone, ascending. */
  readonly dropped?: readonly SeqRange[];
}

/** More records of drops than a log has. */
const MAX_DROPS = 100_000;

/**
 * Looks at one page after the other: each place is filled, each record is canonical and says its own seq, time never
 * runs backwards, every column is the record's, every leaf its hash, every stored node the hash of what is below it.
 * What can't be recomputed: `event_id` stands in no record of its own; it is checked where an outcome names it.
 */
export class LogCheck {
  readonly #sha256: SyncSha256;
  readonly #findings: Findings;
  readonly pairs: IntentPairs;
  /** Records of dropped bodies, to be judged by who knows the key. */
  readonly drops: LogRecord[] = [];
  readonly #dropped: readonly SeqRange[];
  #lastAt = '';
  /** What the builder made on this page, by level. */
  #made = new Map<number, { first: number; hashes: Uint8Array[] }>();

  constructor({ sha256, findings, from, dropped = [] }: LogCheckOptions) {
    this.#sha256 = sha256;
    this.#findings = findings;
    this.#dropped = dropped;
    this.pairs = new IntentPairs(findings, from, dropped);
  }

  #isDropped(seq: number): boolean {
    return this.#dropped.some(({ from, to }) => seq >= from && seq < to);
  }

  /** For the builder: {@link RootBuilder}'s `onNode`. */
  readonly onNode = (level: number, index: number, hash: Uint8Array): void => {
    const run = this.#made.get(level);
    if (run === undefined) this.#made.set(level, { first: index, hashes: [hash] });
    else run.hashes.push(hash);
  };

  /** `at` is called after each place, with the tree grown by it. `tree`: so many leaves the stored nodes cover. */
  page(page: LogPage, builder: RootBuilder, tree: number, at: (size: number) => void): void {
    let next = page.from;
    for (const row of page.rows) {
      while (next < row.seq) {
        this.#missing(next, builder);
        at(++next);
      }
      builder.append(this.#row(row));
      at(++next);
    }
    while (next < page.to) {
      this.#missing(next, builder);
      at(++next);
    }
    for (const run of page.nodes) this.#nodes(run, tree);
    this.#made = new Map();
  }

  #missing(seq: number, builder: RootBuilder): void {
    this.#findings.add('missing', seq, 'there is no such record');
    builder.append(NO_HASH);
  }

  /** The hash that belongs into the tree: that of the record, where there is one. */
  #row({ seq, record, leaf, columns }: LogRow): Uint8Array {
    const dropped = this.#dropped.length > 0 && this.#isDropped(seq);
    if (record === null) {
      if (!dropped) this.#findings.addRun('missing', seq, 'the record is gone, its leaf hash is there');
      return leaf ?? NO_HASH;
    }
    if (dropped) this.#findings.addRun('drop', seq, 'the record is there, and was dropped by a record of that');
    const hash = this.#sha256(leafBytes(record));
    if (leaf === null) this.#findings.add('missing', seq, 'the leaf hash is gone, the record is there');
    else if (Buffer.compare(hash, leaf) !== 0) {
      this.#findings.add('leaf', seq, 'the record does not have its leaf hash: one of them was changed');
    }
    const parsed = parseRecord(record);
    if (typeof parsed === 'string') {
      this.#findings.add('record', seq, parsed);
      return hash;
    }
    if (parsed.seq !== seq) {
      this.#findings.add('record', seq, `the record that stands here says of itself that it is ${parsed.seq}`);
    }
    if (parsed.at < this.#lastAt) this.#findings.add('time', seq, 'the time is before that of the record before');
    this.#lastAt = parsed.at;
    if (columns !== null) this.#columns(seq, columns, parsed);
    this.pairs.look(parsed, columns?.eventId ?? null);
    if (parsed.action === DROP_ACTION && this.drops.length < MAX_DROPS) this.drops.push(parsed);
    return hash;
  }

  #columns(seq: number, columns: NonNullable<LogRow['columns']>, record: LogRecord): void {
    const wrong = COLUMNS.filter((name) => columns[name] !== record[name]);
    if (wrong.length > 0) {
      this.#findings.add('column', seq, `the column ${wrong.join(', ')} is not what the record says`);
    }
  }

  #nodes({ level, first, hashes }: NodeRun, tree: number): void {
    const width = 2 ** level;
    const run = this.#made.get(level) ?? { first: first ?? 0, hashes: [] };
    const due = run.hashes.slice(0, Math.max(0, Math.floor(tree / width) - run.first));
    if ((due.length === 0 || first === run.first) && Buffer.compare(hashes, Buffer.concat(due)) === 0) return;
    for (const [n, hash] of due.entries()) {
      // A node that is missing moves what follows; the first place that differs is what counts.
      if (first === run.first && equalBytes(hash, hashes.subarray(n * 32, n * 32 + 32))) continue;
      const begin = (run.first + n) * width;
      if (this.#findings.explains(begin, begin + width)) continue;
      this.#findings.add('node', begin, NODE_DETAIL(level), begin + width - 1);
      return;
    }
    if (hashes.length > due.length * 32) {
      const begin = ((first ?? 0) + due.length) * width;
      this.#findings.add('node', begin, `level ${level} of the tree has nodes that it should not have`);
    }
  }
}

/** 0x00 and the record, in one place that is used again and again. */
let scratch = Buffer.alloc(64 * 1024);
function leafBytes(record: string): Uint8Array {
  if (record.length * 3 >= scratch.length) scratch = Buffer.alloc(record.length * 3 + 1);
  return scratch.subarray(0, 1 + scratch.write(record, 1, 'utf8'));
}

const COLUMNS = ['seq', 'at', 'kind', 'actor', 'action', 'resource', 'outcome', 'request_id'] as const;
const NODE_DETAIL = (level: number) =>
  `the stored node of level ${level} is missing or not the hash of these records: one of them was changed with its leaf hash, or the node was`;
