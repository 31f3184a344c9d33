import { isUtf8 } from 'node:buffer';

/** One event of a stream may not be longer; a server that sends more is not one that we can work with. Bytes. */
const MOST_BYTES = 1024 * 1024;
const [LF, CR, COLON, SPACE] = [10, 13, 58, 32];
const [D, A, T] = [100, 97, 116];
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Parses `text/event-stream` (WHATWG HTML, section 9.2.6) as it arrives, however it is cut: inside a character, inside a
 * line, between CR and LF. Only `data` matters here; comments, `event`, `id` and `retry` are skipped. Lines are found in
 * the bytes, and only those that matter become text.
 */
export class SseParser {
  /** The beginning of a line whose end has not come. */
  #line: Buffer[] = [];
  #data: string[] = [];
  /** Bytes of the event, and of the line, that are kept. */
  #kept = 0;
  #afterCr = false;
  #isFirst = true;

  /**
   * @returns the data of each event that is complete now
   * @throws RangeError for an event beyond all measure, TypeError for one that is not UTF-8
   */
  push(bytes: Buffer): string[] {
    return this.#wholeEvents(bytes) ?? this.#lines(bytes);
  }

  /** Nearly always they come whole, each a single line of data. Null for anything else, which then is read line by line. */
  #wholeEvents(bytes: Buffer): string[] | null {
    const isInside = this.#isFirst || this.#afterCr || this.#line.length > 0 || this.#data.length > 0;
    if (isInside || bytes[bytes.length - 1] !== LF || !isUtf8(bytes)) return null;
    const text = bytes.toString('utf8');
    if (text.includes('\r')) return null;
    const events: string[] = [];
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf('\n', from);
      if (!text.startsWith('data: ', from) || text[end + 1] !== '\n') return null;
      events.push(text.slice(from + 6, end));
      from = end + 2;
    }
    return events;
  }

  #lines(bytes: Buffer): string[] {
    const events: string[] = [];
    let from = this.#afterCr && bytes[0] === LF ? 1 : 0;
    if (bytes.length > 0) this.#afterCr = bytes.at(-1) === CR;
    const hasCr = bytes.includes(CR);
    for (;;) {
      const end = hasCr ? endOfLine(bytes, from) : bytes.indexOf(LF, from);
      if (end < 0) break;
      this.#endLine(bytes.subarray(from, end), events);
      from = bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1;
    }
    if (from < bytes.length) {
      this.#keep(bytes.length - from);
      this.#line.push(bytes.subarray(from));
    }
    return events;
  }

  #endLine(rest: Buffer, events: string[]): void {
    let line = rest;
    if (this.#line.length > 0) {
      this.#line.push(rest);
      line = Buffer.concat(this.#line);
      this.#kept -= line.length - rest.length;
      this.#line = [];
    }
    if (this.#isFirst) {
      this.#isFirst = false;
      if (line.subarray(0, 3).equals(BOM)) line = line.subarray(3);
    }
    if (line.length === 0) {
      if (this.#data.length > 0) events.push(this.#data.length === 1 ? (this.#data[0] ?? '') : this.#data.join('\n'));
      this.#data = [];
      this.#kept = 0;
      return;
    }
    if (!isData(line)) return;
    const value = line.subarray(line[5] === SPACE ? 6 : 5);
    // The line counts too: a million empty ones are no less than one long one.
    this.#keep(value.length + 1);
    if (!isUtf8(value)) throw new TypeError('server-sent event is not UTF-8');
    this.#data.push(value.toString('utf8'));
  }

  #keep(bytes: number): void {
    this.#kept += bytes;
    if (this.#kept > MOST_BYTES) throw new RangeError('server-sent event is too long');
  }
}

const isData = (line: Buffer): boolean =>
  line[0] === D && line[1] === A && line[2] === T && line[3] === A && (line.length === 4 || line[4] === COLON);

function endOfLine(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) if (bytes[at] === LF || bytes[at] === CR) return at;
  return -1;
}
