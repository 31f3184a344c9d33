/** One line of a stream may not be longer; a server that sends more is not one that we can work with. */
const MOST_CHARACTERS = 4 * 1024 * 1024;

/**
 * Parses `text/event-stream` (WHATWG HTML, section 9.2.6) as it arrives, however it is cut: inside a character, inside a
 * line, between CR and LF. Only `data` matters here; comments, `event`, `id` and `retry` are skipped.
 */
export class SseParser {
  readonly #decoder = new TextDecoder('utf-8');
  #line = '';
  #data: string[] = [];
  #afterCr = false;

  /**
   * @returns the data of each event that is complete now
   * @throws RangeError for an event beyond all measure
   */
  push(bytes: Uint8Array): string[] {
    const events: string[] = [];
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === '') return events;
    if (this.#afterCr && text.startsWith('\n')) text = text.slice(1);
    this.#afterCr = text.endsWith('\r');
    let from = 0;
    for (const { index, 0: end } of text.matchAll(/\r\n|\n|\r/g)) {
      this.#endLine(this.#line + text.slice(from, index), events);
      this.#line = '';
      from = index + end.length;
    }
    this.#line += text.slice(from);
    if (this.#line.length > MOST_CHARACTERS) throw new RangeError('server-sent event is too long');
    return events;
  }

  #endLine(line: string, events: string[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
      return;
    }
    if (!line.startsWith('data')) return;
    if (line === 'data') this.#data.push('');
    else if (line[4] === ':') this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    if (this.#data.length > 10_000) throw new RangeError('server-sent event is too long');
  }
}
