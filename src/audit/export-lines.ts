import type { LogRow } from './log-source.ts';
import { csvCell } from './tiles.ts';

/** A row whose body is there. */
export type WholeRow = LogRow & { readonly record: string };

const HEADINGS = 'seq,at,kind,actor,action,resource,outcome,request_id,event_id,leaf,record';

/** What stands above the first line. */
export const headOf = (format: 'jsonl' | 'csv'): string => (format === 'csv' ? `${HEADINGS}\r\n` : '');

/** One record, one line. In JSON Lines `record` is the record itself, whose canonical form is what was hashed. */
export const lineOf = (format: 'jsonl' | 'csv', row: WholeRow): string => (format === 'csv' ? csvLine : jsonLine)(row);

const leafHex = ({ leaf }: LogRow): string => (leaf === null ? '' : Buffer.from(leaf).toString('hex'));

const jsonLine = (row: WholeRow): string =>
  `{"event_id":${JSON.stringify(row.columns?.eventId ?? null)},"leaf":"${leafHex(row)}","record":${row.record}}\n`;

function csvLine(row: WholeRow): string {
  const { columns: c, seq, record } = row;
  const cells = c && [c.at, c.kind, c.actor, c.action, c.resource, c.outcome, c.request_id ?? '', c.eventId];
  return `${seq},${[...(cells ?? []), leafHex(row), record].map(csvCell).join(',')}\r\n`;
}

/** A record whose body is gone by retention: its leaf still stands for it in the tree. */
export const leafLine = (row: LogRow): string => `{"leaf":"${leafHex(row)}","record":null,"seq":${row.seq}}\n`;
