/** One answer of a model as a client sees it, server-sent events and all. Times are milliseconds of the client's clock. */
export interface StreamedAnswer {
  readonly askedAt: number;
  /** When each event with text came. */
  readonly textAt: readonly number[];
  readonly endedAt: number;
  readonly text: string;
  readonly finishReason: string | null;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  /** What was wrong with it as HTTP; null when it was a whole stream up to `[DONE]`. */
  readonly fault: string | null;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number };
}

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string;
  }[];
  readonly usage?: Usage | null;
  /** In place of an answer that could not be finished. */
  readonly error?: { readonly message?: string };
}

const [END_OF_HEAD, END_OF_EVENT] = ['\r\n\r\n', '\n\n'];

/**
 * Reads one answer out of a byte stream, event by event (RFC 9112, section 7.1, without trailers): a client that costs less than
 * what it measures.
 */
export class AnswerReader {
  readonly #askedAt: number;
  readonly #textAt: number[] = [];
  #pending = '';
  #head: string | null = null;
  /** What is left of the chunk that is being read; -1 between chunks. */
  #left = -1;
  #isLast = false;
  #events = '';
  #text = '';
  #finishReason: string | null = null;
  #usage: Usage | null = null;
  #error: string | null = null;
  #isDone = false;

  constructor(askedAt: number) {
    this.#askedAt = askedAt;
  }

  /** @returns the answer once it is whole. @throws Error for what is no chunked message */
  push(bytes: Buffer, now: number): StreamedAnswer | null {
    this.#pending += bytes.toString('latin1');
    if (this.#head === null) {
      const end = this.#pending.indexOf(END_OF_HEAD);
      if (end < 0) return null;
      this.#head = this.#pending.slice(0, end);
      this.#pending = this.#pending.slice(end + END_OF_HEAD.length);
    }
    if (!/\r\ntransfer-encoding: *chunked/i.test(this.#head)) return this.#refusal(this.#head, now);
    let at = 0;
    for (;;) {
      if (this.#left < 0) {
        const line = this.#pending.indexOf('\r\n', at);
        if (line < 0) break;
        this.#left = Number.parseInt(this.#pending.slice(at, line), 16);
        if (Number.isNaN(this.#left)) throw new Error('not a chunk');
        at = line + 2;
        this.#isLast = this.#left === 0;
      }
      const part = this.#pending.slice(at, at + this.#left);
      this.#left -= part.length;
      at += part.length;
      this.#events += part;
      if (this.#left > 0 || this.#pending.length < at + 2) break;
      at += 2;
      this.#left = -1;
      if (this.#isLast) return this.#answer(now, this.#faultOf(this.#head, now));
    }
    this.#pending = this.#pending.slice(at);
    this.#takeEvents(now);
    return null;
  }

  #takeEvents(now: number): void {
    let at = 0;
    for (let end = this.#events.indexOf(END_OF_EVENT); end >= 0; end = this.#events.indexOf(END_OF_EVENT, at)) {
      this.#take(this.#events.slice(at, end), now);
      at = end + END_OF_EVENT.length;
    }
    this.#events = this.#events.slice(at);
  }

  #take(event: string, now: number): void {
    if (!event.startsWith('data:')) return;
    const data = Buffer.from(event.slice(5), 'latin1').toString('utf8').trim();
    if (data === '[DONE]') {
      this.#isDone = true;
      return;
    }
    const { choices, usage, error } = JSON.parse(data) as Chunk;
    this.#error = error?.message ?? this.#error;
    const text = choices?.[0]?.delta?.content ?? '';
    if (text !== '') {
      this.#textAt.push(now);
      this.#text += text;
    }
    this.#finishReason = choices?.[0]?.finish_reason ?? this.#finishReason;
    this.#usage = usage ?? this.#usage;
  }

  #faultOf(head: string, now: number): string | null {
    this.#takeEvents(now);
    if (!head.startsWith('HTTP/1.1 200 ')) return head.split('\r\n', 1)[0] ?? head;
    return this.#error ?? (this.#isDone ? null : 'it broke off');
  }

  #refusal(head: string, now: number): StreamedAnswer | null {
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(length)) throw new Error('a message without a length');
    if (this.#pending.length < length) return null;
    return this.#answer(now, `${head.split('\r\n', 1)[0]} ${this.#pending.slice(0, 300)}`);
  }

  #answer(endedAt: number, fault: string | null): StreamedAnswer {
    return {
      askedAt: this.#askedAt,
      textAt: this.#textAt,
      endedAt,
      text: this.#text,
      finishReason: this.#finishReason,
      promptTokens: this.#usage?.prompt_tokens ?? 0,
      completionTokens: this.#usage?.completion_tokens ?? 0,
      cachedTokens: this.#usage?.prompt_tokens_details?.cached_tokens ?? 0,
      fault,
    };
  }
}
