import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { ProxiedConnections } from './proxied-connections.ts';

export interface ServerDeps {
  readonly tls: ServerOptions;
  readonly listener: RequestListener;
  readonly onStray: (reason: string, address: string) => void;
  /** Stands before TLS; null where no proxy is trusted. */
  readonly proxied: ProxiedConnections | null;
}

/** Slow clients are cut off in seconds; a server of ours has no other way to be held open by nothing. */
const TIMEOUTS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16 * 1024,
  handshakeTimeout: 10_000,
} as const;

const refusalOf = (status: string): string =>
  `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\nx-content-type-options: nosniff\r\n\r\n`;
const REFUSALS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: refusalOf('408 Request Timeout'),
  HPE_HEADER_OVERFLOW: refusalOf('431 Request Header Fields Too Large'),
};

/** The one listener: TLS 1.3, HTTP/1.1. There is no plain-text port. */
export class HttpServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #proxied: ProxiedConnections | null;
  #draining = false;

  constructor({ tls, listener, onStray, proxied }: ServerDeps) {
    const addressOf = (socket: Socket) => proxied?.headerOf(socket)?.address ?? socket.remoteAddress ?? 'unknown';
    const answers = new WeakMap<Socket, ServerResponse>();
    const onRequest: RequestListener = (request, response) => {
      answers.set(request.socket, response);
      listener(request, response);
    };
    this.#server = createServer(
      { ...TIMEOUTS, ...tls, insecureHTTPParser: false, requireHostHeader: false, keepAlive: true, noDelay: true },
      onRequest,
    );
    this.#server.maxRequestsPerSocket = 0;
    this.#proxied = proxied;
    proxied?.guard(this.#server);
    // Node would answer 417 by itself, past our boundary.
    this.#server.on('checkExpectation', onRequest);
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      onStray(error.code ?? 'malformed HTTP', addressOf(socket));
      const answer = answers.get(socket);
      // Written into an answer that is under way it would become part of it, and after a last one an answer to nothing.
      const isOpen = !answer?.headersSent || (answer.writableFinished && answer.shouldKeepAlive);
      if (isOpen && socket.writable) socket.write(REFUSALS[error.code ?? ''] ?? refusalOf('400 Bad Request'));
      // Not `end`: nobody reads this socket any more, so it would never see the other side's end and stay for ever.
      if (isOpen || answer?.writableEnded) socket.destroySoon();
      else socket.destroy();
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      onStray(error.code ?? 'TLS', addressOf(socket));
    });
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Starts to listen. Returns the port, which is the system's choice for port 0. */
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** A new certificate for new connections; running ones keep theirs. */
  renewCertificate(context: SecureContextOptions): void {
    this.#server.setSecureContext(context);
  }

  /** Takes no new work, waits for running answers at most `graceMs`, then calls `cut` and closes what is left. */
  async drain(graceMs: number, cut: () => Promise<void>): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#proxied?.cut();
    this.#server.closeIdleConnections();
    const idle = setInterval(() => this.#server.closeIdleConnections(), 100);
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), graceMs);
    });
    if ((await Promise.race([closed, grace])) === 'late') {
      await cut();
      this.#server.closeAllConnections();
      await closed;
    }
    clearTimeout(timer);
    clearInterval(idle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0, async () => {});
  }
}
