import { fromBase64, toBase64 } from '#kernel/bytes.ts';
import { HASH_BYTES } from './merkle.shared.ts';
import { NoteFault } from './note.shared.ts';
import type { LogRecord } from './record.shared.ts';

/** Seqs from `from` up to but not including `to`. */
export interface SeqRange {
  readonly from: number;
  readonly to: number;
}

/**
 * What the record of a drop says, in a note that the log's key signed: who can write to the database and has not the
 * key can drop bodies, but can't make it look like retention.
 */
export interface DropStatement extends SeqRange {
  readonly origin: string;
  /** `at` of the newest body that goes. */
  readonly newest: string;
  readonly days: number;
  /** Of the tree at size `to`: what the bodies were, for whoever kept them. */
  readonly root: Uint8Array;
  /** All that was dropped so far, this range included: earlier records of drops may themselves be dropped. */
  readonly dropped: readonly SeqRange[];
}

/** Six months of Chinese law are up to 184 days. */
export const LEAST_DAYS = 184;
export const DROP_ACTION = 'audit.drop';
const DAY_MS = 86_400_000;
const KIND = 'strongroom/audit-drop/v1';
const SEQ = '(0|[1-9][0-9]{0,15})';
const RANGE = new RegExp(`^${SEQ}-${SEQ}$`);
const AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;

const rangeText = ({ from, to }: SeqRange): string => `${from}-${to}`;
export const rangesText = (ranges: readonly SeqRange[]): string => ranges.map(rangeText).join(',');

/** The text that is signed; its second line is no tree size, so it can't be taken for a checkpoint. */
export const dropText = (drop: DropStatement): string =>
  `${drop.origin}\n${KIND}\n${rangeText(drop)}\n${drop.newest}\n${drop.days}\n${toBase64(drop.root)}\n${rangesText(drop.dropped)}\n`;

/** Ascending, apart from each other. @throws NoteFault */
export function parseRanges(text: string): SeqRange[] {
  let end = -1;
  return text.split(',').map((part) => {
    const [, from, to] = RANGE.exec(part) ?? [];
    const range = { from: Number(from), to: Number(to) };
    if (to === undefined || range.from <= end || range.to <= range.from)
      throw new NoteFault('the ranges are malformed');
    end = range.to;
    return range;
  });
}

/** @throws NoteFault */
export function parseDrop(text: string): DropStatement {
  const [origin = '', kind, own = '', newest = '', days = '', encoded = '', all = '', end, ...more] = text.split('\n');
  const root = fromBase64(encoded);
  const [range, ...others] = parseRanges(own);
  if (kind !== KIND || end !== '' || more.length > 0 || others.length > 0 || range === undefined) {
    throw new NoteFault('this is no statement of a drop');
  }
  if (!AT.test(newest) || !/^\d{1,6}$/.test(days) || root?.length !== HASH_BYTES) {
    throw new NoteFault('the statement of a drop is malformed');
  }
  const dropped = parseRanges(all);
  if (!covers(dropped, range)) throw new NoteFault('the statement does not hold its own range');
  return { ...range, origin, newest, days: Number(days), root, dropped };
}

export const covers = (ranges: readonly SeqRange[], { from, to }: SeqRange): boolean =>
  ranges.some((range) => range.from <= from && range.to >= to);

/** The signed note in a record of a drop; null for another record. */
export function statementOf({ kind, event, action }: LogRecord): string | null {
  const { statement } = event;
  return kind === 'system' && action === DROP_ACTION && typeof statement === 'string' ? statement : null;
}

/** In one sentence what is wrong with a drop that was recorded at `at`; null where nothing is. */
export function dropFault(drop: DropStatement, at: string): string | null {
  const kept = (Date.parse(at) - Date.parse(drop.newest)) / DAY_MS;
  if (!(kept >= LEAST_DAYS)) return `bodies were dropped after ${Math.floor(kept)} days, ${LEAST_DAYS} is the least`;
  if (drop.days < LEAST_DAYS || kept < drop.days) return `bodies were dropped before ${drop.days} days had passed`;
  return null;
}
