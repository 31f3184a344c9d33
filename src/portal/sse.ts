/** One dispatched event of a `text/event-stream` (WHATWG HTML, section 9.2.6). `id` and `retry` are not used here. */
export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Reads a stream piece by piece, wherever it is cut: inside a line, between CR and LF, inside the BOM's line.
 * Comments are dropped. An event that the end of the stream cuts off is never dispatched, as the standard demands.
 */
export class SseParser {
  #rest = '';
  #atStart = true;
  #event = '';
  #data: string[] = [];

  /** The events that this piece completes, in order. */
  push(piece: string): SseEvent[] {
    let text = this.#rest + piece;
    if (this.#atStart && text !== '') {
      if (text.startsWith('\uFEFF')) text = text.slice(1);
      this.#atStart = false;
    }
    const events: SseEvent[] = [];
    let start = 0;
    for (;;) {
      const end = lineEnd(text, start);
      if (end === null) break;
      const complete = this.#line(text.slice(start, end.at));
      if (complete !== null) events.push(complete);
      start = end.next;
    }
    this.#rest = text.slice(start);
    return events;
  }

  #line(line: string): SseEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#event = value;
    return null;
  }

  #dispatch(): SseEvent | null {
    const event = this.#data.length === 0 ? null : { event: this.#event || 'message', data: this.#data.join('\n') };
    this.#event = '';
    this.#data = [];
    return event;
  }
}

/** Where the line ends and the next begins. A CR at the very end of what we have may be half of a CRLF: wait for it. */
function lineEnd(text: string, start: number): { readonly at: number; readonly next: number } | null {
  for (let index = start; index < text.length; index++) {
    const character = text[index];
    if (character === '\n') return { at: index, next: index + 1 };
    if (character !== '\r') continue;
    if (index + 1 === text.length) return null;
    return { at: index, next: text[index + 1] === '\n' ? index + 2 : index + 1 };
  }
  return null;
}
