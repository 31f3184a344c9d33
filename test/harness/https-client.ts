import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:tls';

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; with `raw` instead, the very bytes. */
  readonly body?: unknown;
  readonly raw?: string | Buffer;
  /** Sends the body with `Transfer-Encoding: chunked`. */
  readonly chunked?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Of `{"error": {"code"}}` or of a problem document. */
  readonly code: string | undefined;
  json<T = Record<string, unknown>>(): T;
}

/** An answer whose body is still to come. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly message: IncomingMessage;
  /** Payloads of `data:` lines, `[DONE]` included, until the answer ends or breaks. */
  events(): AsyncGenerator<string, void, undefined>;
  /** Drops the connection, as a client does that is closed. */
  hangUp(): void;
}

/** A small HTTPS client that trusts one authority; everything it sends is under the test's control. */
export class HttpsClient implements Disposable {
  readonly #agent: Agent;
  readonly #port: number;
  readonly #ca: Buffer;

  constructor(port: number, ca: Buffer) {
    this.#port = port;
    this.#ca = ca;
    this.#agent = new Agent({ ca, keepAlive: true, servername: 'localhost' });
  }

  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { message, status, headers } = await this.open(method, path, options);
    let text = '';
    message.setEncoding('utf8');
    for await (const part of message) text += part;
    return { status, headers, text, code: codeOf(text), json: <T>() => JSON.parse(text) as T };
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.request('GET', path, { headers });
  }

  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.request('POST', path, { headers, body });
  }

  /** Resolves when the answer's head is here. */
  async open(method: string, path: string, options: RequestOptions = {}): Promise<OpenAnswer> {
    const payload = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    const client = request({
      agent: this.#agent,
      host: '127.0.0.1',
      port: this.#port,
      method,
      path,
      headers: {
        host: `localhost:${this.#port}`,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
        ...(payload === undefined || options.chunked ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
        ...options.headers,
      },
    });
    const answered = once(client, 'response') as Promise<[IncomingMessage]>;
    // An answer may come while the body is still on its way; what breaks after that is the body's business.
    if (payload === undefined) client.end();
    else if (options.chunked) for (const part of portions(payload)) client.write(part);
    if (payload !== undefined) client.end(options.chunked ? undefined : payload);
    const [message] = await answered;
    client.on('error', () => undefined);
    message.on('error', () => undefined);
    return {
      status: message.statusCode ?? 0,
      headers: message.headers,
      message,
      events: () => eventsOf(message),
      hangUp: () => client.destroy(),
    };
  }

  /**
   * Bytes as they are over TLS; resolves with everything that came back when the server closes the connection. `then` is
   * asked after each piece of the answer for what to send next, until it has named something.
   */
  raw(text: string | Buffer, then?: (answered: string) => string | null): Promise<string> {
    let next = then;
    const { promise, resolve } = Promise.withResolvers<string>();
    let answer = '';
    const socket = connect({ host: '127.0.0.1', port: this.#port, servername: 'localhost', ca: this.#ca });
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => {
      answer += data;
      const more = next?.(answer) ?? null;
      if (more === null) return;
      next = undefined;
      socket.write(more);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(text);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function* portions(payload: string | Buffer): Generator<Buffer> {
  const bytes = Buffer.from(payload);
  for (let at = 0; at < bytes.length; at += 16_384) yield bytes.subarray(at, at + 16_384);
}

async function* eventsOf(message: IncomingMessage): AsyncGenerator<string, void, undefined> {
  let rest = '';
  message.setEncoding('utf8');
  try {
    for await (const part of message as AsyncIterable<string>) {
      const blocks = (rest + part).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) if (block.startsWith('data: ')) yield block.slice(6);
    }
  } catch {
    // Cut off: the events so far are what there is.
  }
}

function codeOf(text: string): string | undefined {
  try {
    const { code, error } = JSON.parse(text) as { code?: string; error?: { code?: string } };
    return error?.code ?? code;
  } catch {
    return undefined;
  }
}
