/** One HTTP/1.1 message: its head as text, its body decoded. */
export interface Message {
  readonly head: string;
  readonly body: string;
}

const END_OF_HEAD = '\r\n\r\n';

/**
 * Cuts a byte stream into HTTP/1.1 messages. Both ends of a measurement use it in place of Node's own HTTP, which would
 * cost more than some of the servers that are measured; everything on the wire is ASCII that we wrote ourselves.
 *
 * @throws Error from `push` for a message whose length can't be told.
 */
export class MessageReader {
  #pending = '';

  /** The messages that are whole now. */
  push(chunk: Buffer): Message[] {
    this.#pending += chunk.toString('latin1');
    const messages: Message[] = [];
    for (let message = this.#take(); message !== null; message = this.#take()) messages.push(message);
    return messages;
  }

  #take(): Message | null {
    const text = this.#pending;
    const end = text.indexOf(END_OF_HEAD);
    if (end < 0) return null;
    const head = text.slice(0, end);
    const start = end + END_OF_HEAD.length;
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      const after = start + Number(length);
      if (text.length < after) return null;
      this.#pending = text.slice(after);
      return { head, body: text.slice(start, after) };
    }
    if (/\r\ntransfer-encoding: *chunked/i.test(head)) return this.#takeChunked(head, start);
    if (!head.startsWith('GET ')) throw new Error('a message without a length');
    this.#pending = text.slice(start);
    return { head, body: '' };
  }

  /** RFC 9112, section 7.1, without trailers. */
  #takeChunked(head: string, start: number): Message | null {
    const text = this.#pending;
    let body = '';
    for (let at = start; ; ) {
      const line = text.indexOf('\r\n', at);
      if (line < 0) return null;
      const size = Number.parseInt(text.slice(at, line), 16);
      const after = line + 2 + size + 2;
      if (text.length < after) return null;
      if (size === 0) {
        this.#pending = text.slice(after);
        return { head, body };
      }
      body += text.slice(line + 2, after - 2);
      at = after;
    }
  }
}
