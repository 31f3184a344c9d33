import http from 'node:http';
import https from 'node:https';
import { Problem } from '#kernel/problem.ts';
import type { UpstreamModelSpec } from './model-spec.ts';

export interface UpstreamLimits {
  /** From the request to the answer's first byte, and between bytes. Milliseconds. */
  readonly firstByteMs: number;
  readonly nextByteMs: number;
  readonly maxQueue: number;
  readonly maxQueueMs: number;
  /** An answer that is not streamed may have so many bytes. */
  readonly maxAnswerBytes: number;
}

export const UPSTREAM_LIMITS: UpstreamLimits = {
  firstByteMs: 30_000,
  nextByteMs: 30_000,
  maxQueue: 64,
  maxQueueMs: 30_000,
  maxAnswerBytes: 16 * 1024 * 1024,
};

/** Something went wrong on the way; for the log, with the upstream's status where there was one. */
export class UpstreamError extends Error {
  readonly status: number | null;
  constructor(message: string, status: number | null = null) {
    super(message);
    this.status = status;
  }
}

const ERROR_BODY_BYTES = 16 * 1024;
/** Servers say it in many words; this is for telling it apart only, their text is never passed on. */
const TOO_LONG = /context.?length|context.?size|maximum.{0,20}(context|tokens)|exceed.{0,20}context|too many tokens/i;

/** Keeps connections to one server and speaks just enough HTTP for it. */
export class UpstreamClient {
  readonly #base: URL;
  readonly #agent: http.Agent;
  readonly #transport: typeof http | typeof https;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #limits: UpstreamLimits;

  constructor(spec: UpstreamModelSpec, limits: UpstreamLimits) {
    this.#base = new URL(spec.url.endsWith('/') ? spec.url : `${spec.url}/`);
    const secure = this.#base.protocol === 'https:';
    const options = { keepAlive: true, maxFreeSockets: 256, scheduling: 'lifo' } as const;
    this.#transport = secure ? https : http;
    this.#agent = secure
      ? new https.Agent({ ...options, minVersion: 'TLSv1.2', ...(spec.ca ? { ca: spec.ca } : {}) })
      : new http.Agent(options);
    this.#headers = spec.apiKey === undefined ? {} : { authorization: `Bearer ${spec.apiKey}` };
    this.#limits = limits;
  }

  /**
   * Sends a request and waits for the head of the answer. The answer times out by itself between bytes.
   *
   * @throws UpstreamError when there is no answer; `signal.reason` on abort
   */
  async request(
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    signal: AbortSignal,
    again = true,
  ): Promise<UpstreamAnswer> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
    const content: Record<string, string | number> =
      body === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = this.#transport.request(new URL(path, this.#base), {
      method,
      agent: this.#agent,
      headers: { accept: 'application/json, text/event-stream', ...this.#headers, ...content },
    });
    const first = setTimeout(() => request.destroy(new UpstreamError('no answer in time')), this.#limits.firstByteMs);
    const abort = () => void request.destroy(new UpstreamError('aborted'));
    signal.addEventListener('abort', abort, { once: true });
    request.on('response', (response) => {
      clearTimeout(first);
      resolve(new UpstreamAnswer(response, this.#limits));
    });
    request.on('error', (error) => {
      clearTimeout(first);
      if (signal.aborted) reject(signal.reason);
      // The server closed an idle connection just as we took it: it has not seen this request.
      else if (again && request.reusedSocket && isClosed(error)) {
        resolve(this.request(method, path, body, signal, false));
      } else reject(error);
    });
    // The signal stays connected until the answer is through: destroying the request is what stops the upstream.
    request.on('close', () => {
      clearTimeout(first);
      signal.removeEventListener('abort', abort);
    });
    request.end(body ?? undefined);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

const isClosed = (error: NodeJS.ErrnoException): boolean => error.code === 'ECONNRESET' || error.code === 'EPIPE';

/** An answer whose head has come. */
export class UpstreamAnswer {
  readonly status: number;
  readonly #response: http.IncomingMessage;
  readonly #limits: UpstreamLimits;

  constructor(response: http.IncomingMessage, limits: UpstreamLimits) {
    this.status = response.statusCode ?? 0;
    this.#response = response;
    this.#limits = limits;
  }

  /**
   * The answer as it arrives. Pulling is the back-pressure: nothing is read that nobody asked for, and the time that the
   * reader takes is not held against the server.
   *
   * @throws UpstreamError when the server falls silent
   */
  async *bytes(): AsyncGenerator<Buffer> {
    let waiting = true;
    const timer = setTimeout(() => {
      if (waiting) this.#response.destroy(new UpstreamError('answer stopped'));
    }, this.#limits.nextByteMs);
    try {
      for await (const chunk of this.#response as AsyncIterable<Buffer>) {
        waiting = false;
        yield chunk;
        waiting = true;
        timer.refresh();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The whole answer as text. @throws UpstreamError when it is too long or breaks off */
  async text(mostBytes = this.#limits.maxAnswerBytes): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.bytes()) {
      length += chunk.length;
      if (length > mostBytes) throw new UpstreamError('answer is too long');
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** What an error answer means to our caller. The upstream's own words stay here. */
  async problem(tooLong: () => Problem): Promise<Problem> {
    const { status } = this;
    const body = await this.text(ERROR_BODY_BYTES).catch(() => '');
    this.destroy();
    const cause = new UpstreamError(`upstream answered ${status}`, status);
    if (status === 429 || status === 503) {
      const wait = Number.parseInt(this.#response.headers['retry-after'] ?? '', 10);
      const retryAfter = Number.isInteger(wait) ? Math.min(Math.max(wait, 1), 300) : 5;
      return new Problem('overloaded', { message: 'The model is busy. Try again later.', retryAfter }, cause);
    }
    if (status === 413 || (status === 400 && TOO_LONG.test(body))) return tooLong();
    if (status === 400 || status === 422) {
      return new Problem('invalid_parameter', { message: 'The model server refused the parameters.' }, cause);
    }
    return new Problem('engine_failed', { message: 'The model server failed. Try again.' }, cause);
  }

  /** Ends it on the server too, where it still runs. */
  destroy(): void {
    this.#response.destroy();
  }
}
