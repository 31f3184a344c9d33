import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';

export interface ServerDeps {
  readonly tls: ServerOptions;
  readonly listener: RequestListener;
  readonly onStray: (reason: string, address: string) => void;
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

/** The one listener: TLS 1.3, HTTP/1.1. There is no plain-text port. */
export class HttpServer implements AsyncDisposable {
  readonly #server: Server;
  #draining = false;

  constructor({ tls, listener, onStray }: ServerDeps) {
    this.#server = createServer(
      { ...TIMEOUTS, ...tls, insecureHTTPParser: false, keepAlive: true, noDelay: true },
      listener,
    );
    this.#server.maxRequestsPerSocket = 0;
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      onStray(error.code ?? 'malformed HTTP', socket.remoteAddress ?? 'unknown');
      if (socket.writable && !socket.destroyed)
        socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      else socket.destroy();
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      onStray(error.code ?? 'TLS', socket.remoteAddress ?? 'unknown');
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
