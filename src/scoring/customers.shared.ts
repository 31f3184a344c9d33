/** A table of customers as a bank exports it, and the table of scores that goes back. */

export interface Customers {
  /** What stands in the first column that is no feature, or the number of the line. */
  readonly names: readonly string[];
  /** Raw features, in the model's order. */
  readonly rows: readonly (readonly number[])[];
}

/** Why a table can not be read; `line` counts from 1. The words are the reader's page's. */
export class TableFault extends Error {
  override readonly name = 'TableFault';
  readonly code: 'empty' | 'missing_column' | 'cells' | 'not_a_number' | 'quotes' | 'too_many';
  readonly line: number;
  readonly column: string;

  constructor(code: TableFault['code'], line = 0, column = '') {
    super(`${code} ${line} ${column}`);
    this.code = code;
    this.line = line;
    this.column = column;
  }
}

/** More would not fit into a browser's memory beside its ciphertexts. */
const MOST_CUSTOMERS = 1_000_000;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * Reads comma- or semicolon-separated text (RFC 4180) whose first line names the columns. Every feature must be there,
 * in any order; other columns are passed over.
 *
 * @throws TableFault
 */
export function readCustomers(text: string, features: readonly string[]): Customers {
  const lines = cellsOf(text.startsWith('\ufeff') ? text.slice(1) : text);
  const first = lines.next().value;
  if (first === undefined) throw new TableFault('empty');
  const header = first.map((cell) => cell.trim());
  const places = features.map((name) => header.indexOf(name));
  const missing = places.indexOf(-1);
  if (missing >= 0) throw new TableFault('missing_column', 1, features[missing] ?? '');
  const named = header.findIndex((name) => !features.includes(name));
  const names: string[] = [];
  const rows: number[][] = [];
  let line = 1;
  for (const cells of lines) {
    line++;
    if (cells.length === 1 && cells[0]?.trim() === '') continue;
    if (cells.length !== header.length) throw new TableFault('cells', line);
    if (rows.length === MOST_CUSTOMERS) throw new TableFault('too_many', line);
    rows.push(
      places.map((place, index) => {
        const cell = (cells[place] as string).trim();
        const value = Number(cell);
        if (!NUMBER.test(cell) || !Number.isFinite(value))
          throw new TableFault('not_a_number', line, features[index] ?? '');
        return value;
      }),
    );
    names.push(named < 0 ? String(line - 1) : (cells[named] as string).trim());
  }
  if (rows.length === 0) throw new TableFault('empty');
  return { names, rows };
}

/** The cells of each line. Quotes hold separators, line ends and, doubled, themselves. */
function* cellsOf(text: string): Generator<string[], undefined, undefined> {
  const head = text.slice(0, text.search(/[\r\n]|$/));
  const separator = !head.includes(',') && head.includes(';') ? ';' : ',';
  let at = 0;
  for (let line = 1; at < text.length; line++) {
    const cells: string[] = [];
    for (;;) {
      let cell: string;
      if (text[at] === '"') {
        [cell, at] = quoted(text, at, line);
      } else {
        const from = at;
        while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at++;
        cell = text.slice(from, at);
      }
      cells.push(cell);
      if (text[at] !== separator) break;
      at++;
    }
    if (text[at] === '\r') at++;
    if (text[at] === '\n') at++;
    yield cells;
  }
}

function quoted(text: string, from: number, line: number): [cell: string, at: number] {
  let cell = '';
  let at = from + 1;
  for (;;) {
    const end = text.indexOf('"', at);
    if (end < 0) throw new TableFault('quotes', line);
    cell += text.slice(at, end);
    at = end + 1;
    if (text[at] !== '"') break;
    cell += '"';
    at++;
  }
  if (at < text.length && !/[,;\r\n]/.test(text[at] as string)) throw new TableFault('quotes', line);
  return [cell, at];
}

/** Names and scores for a spreadsheet. Cells that it would run as a formula are made harmless. */
export function writeScores(names: readonly string[], scores: readonly number[], decimals: number): string {
  const lines = names.map((name, index) => `${cellOf(name)},${(scores[index] as number).toFixed(decimals)}`);
  return `customer,score\r\n${lines.join('\r\n')}\r\n`;
}

function cellOf(name: string): string {
  const harmless = /^[=+\-@\t\r]/.test(name) ? `'${name}` : name;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
