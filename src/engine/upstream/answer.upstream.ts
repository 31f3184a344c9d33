import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Turns } from './turns.upstream.ts';

/**
 * How far a question came. `unsent`: no byte of it left. `unanswered`: it left, and the connection broke before a byte
 * came back. `begun`: anything else, such as a server that took it and says nothing.
 */
export type Fate = 'unsent' | 'unanswered' | 'begun';

/** Something went wrong on the way; for the log, with the upstream's status where there was one. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly status: number | null;
  readonly fate: Fate;
  /** What the caller may know of it; null: no more than that a server failed. */
  readonly told: string | null;
  constructor(message: string, detail: { status?: number; fate?: Fate; told?: string; cause?: unknown } = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.status = detail.status ?? null;
    this.fate = detail.fate ?? 'begun';
    this.told = detail.told ?? null;
  }
}

/** How long a server may let us wait, in milliseconds. */
export interface Patience {
  readonly firstByteMs: number;
  readonly nextByteMs: number;
  /** From the question to the last byte. */
  readonly answerMs: number;
}

/** Ends a question from outside. An AbortController would cost more than the question does. */
export class Stop {
  #reason: { readonly of: unknown } | null = null;
  #answer: UpstreamAnswer | null = null;

  get isStopped(): boolean {
    return this.#reason !== null;
  }

  /** @throws the reason */
  check(): void {
    if (this.#reason !== null) throw this.#reason.of;
  }

  /** What is to be ended from now on. */
  hold(answer: UpstreamAnswer): void {
    this.#answer = answer;
  }

  now(reason: unknown): void {
    if (this.#reason !== null) return;
    this.#reason = { of: reason };
    this.#answer?.end(reason);
  }
}

/** So much is kept for a reader who takes his time; then nothing more is read. */
const MOST_HELD = 64 * 1024;
/** A server that has said all may close its answer within this time; then its connection can be used again. */
const CLOSING_MS = 1000;
const BROKEN: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** One answer as it arrives. Pulling is the back-pressure, and the time that its reader takes is not held against the server. */
export class UpstreamAnswer implements Dispatcher.DispatchHandler {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly #patience: Patience;
  readonly #turns: Turns;
  readonly #head = Promise.withResolvers<void>();
  #controller: Dispatcher.DispatchController | null = null;
  #timer: NodeJS.Timeout;
  #deadline: number;
  #chunks: Buffer[] = [];
  #held = 0;
  /** Chunks that have come. */
  #heard = 0;
  #reader: PromiseWithResolvers<Buffer | null> | null = null;
  #isInTurn = false;
  #state: 'sent' | 'heard' | 'reading' | 'ended' = 'sent';
  #failure: { readonly of: unknown } | null = null;
  #isPaused = false;
  #isDiscarded = false;

  /** Goes to a dispatcher as it is. `whole`: nothing comes before the answer is complete. */
  constructor(patience: Patience, whole: boolean, turns: Turns) {
    this.#patience = patience;
    this.#turns = turns;
    this.#deadline = performance.now() + patience.answerMs;
    this.#timer = setTimeout(() => this.#silence(), whole ? patience.answerMs : patience.firstByteMs);
    // Whoever ends it before he waits for it has heard of it already.
    this.#head.promise.catch(() => {});
  }

  /** Resolves when the status is known. @throws UpstreamError; the reason of `end` */
  head(): Promise<void> {
    return this.#head.promise;
  }

  /** What has come, or null at the end. @throws UpstreamError when the server falls silent or breaks off */
  read(): Promise<Buffer | null> {
    const chunk = this.#take();
    if (chunk !== undefined) return Promise.resolve(chunk);
    if (this.#failure !== null) return Promise.reject(this.#failure.of);
    if (this.#state === 'ended') return Promise.resolve(null);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** The whole answer. @throws UpstreamError when it is longer than so many bytes, or breaks off */
  async text(mostBytes: number): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      const chunk = this.#take() ?? (await this.read());
      if (chunk === null) break;
      length += chunk.length;
      if (length > mostBytes) {
        this.end(new UpstreamError('answer is too long'));
        throw new UpstreamError('answer is too long');
      }
      chunks.push(chunk);
    }
    const [only] = chunks;
    const bytes = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
    if (!isUtf8(bytes)) throw new UpstreamError('answer is not UTF-8');
    return bytes.toString('utf8');
  }

  /** Nothing more is wanted of it, though it may say that it is over. */
  leave(): void {
    if (this.#state === 'ended' || this.#failure !== null) return;
    this.#isDiscarded = true;
    this.#chunks = [];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(new UpstreamError('answer goes on after its end')), CLOSING_MS);
    if (this.#isPaused) this.#resume();
  }

  /** Ends it at once, on the server too. Idempotent. */
  end(reason: unknown): void {
    if (this.#state === 'ended' || this.#failure !== null) return;
    this.#chunks = [];
    this.#fail(reason);
    this.#controller?.abort(reason instanceof Error ? reason : new UpstreamError('ended'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure !== null) controller.abort(new UpstreamError('ended'));
  }

  onResponseStarted(): void {
    this.#state = 'heard';
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Others are only announced by what is informational.
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
    this.#head.resolve();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isDiscarded) return;
    const isFirst = this.#heard++ === 0;
    if (this.#state !== 'reading') {
      this.#state = 'reading';
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#silence(), this.#patience.nextByteMs);
    } else this.#timer.refresh();
    if (performance.now() > this.#deadline) {
      this.end(new UpstreamError('no end in time'));
      return;
    }
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (isFirst) this.#wake();
    else if (this.#reader !== null && !this.#isInTurn) {
      this.#isInTurn = true;
      this.#turns.wait(this.#wake);
    }
    if (this.#held < MOST_HELD || this.#isPaused) return;
    this.#isPaused = true;
    controller.pause();
  }

  onResponseEnd(): void {
    this.#state = 'ended';
    clearTimeout(this.#timer);
    if (this.#chunks.length > 0) return;
    this.#reader?.resolve(null);
    this.#reader = null;
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#failure !== null) return;
    if (error instanceof UpstreamError) {
      this.#fail(error);
      return;
    }
    const isBroken = BROKEN.has((error as NodeJS.ErrnoException).code ?? '');
    const fate = this.#controller === null ? 'unsent' : isBroken && this.#state === 'sent' ? 'unanswered' : 'begun';
    this.#fail(new UpstreamError(fate === 'unsent' ? 'not reached' : 'connection broke', { fate, cause: error }));
  }

  /** Gives the reader who waits the first of what has come. */
  readonly #wake = (): void => {
    this.#isInTurn = false;
    const reader = this.#reader;
    if (reader === null) return;
    const chunk = this.#take();
    if (chunk === undefined) return;
    this.#reader = null;
    reader.resolve(chunk);
  };

  #take(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#held -= chunk.length;
    if (this.#isPaused && this.#held === 0) this.#resume();
    return chunk;
  }

  #resume(): void {
    this.#isPaused = false;
    this.#timer.refresh();
    this.#controller?.resume();
  }

  #silence(): void {
    // The server waits for the reader, not the other way round.
    if (this.#isPaused) return;
    const heard = this.#heard;
    // What came while we were busy ourselves lies unread behind this timer; before the next immediate it is read.
    setImmediate(() => {
      if (this.#heard !== heard || this.#isPaused) return;
      this.end(new UpstreamError(this.#state === 'reading' ? 'answer stopped' : 'no answer in time'));
    });
  }

  #fail(reason: unknown): void {
    this.#failure = { of: reason };
    clearTimeout(this.#timer);
    this.#head.reject(reason);
    // Who waits for his turn is given first what has come.
    if (this.#chunks.length > 0) return;
    this.#reader?.reject(reason);
    this.#reader = null;
  }
}
