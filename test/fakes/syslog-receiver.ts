import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';

/** A receiver of syslog over TLS (RFC 5425), written from the specification; it drops connections when it is told to. */
export class SyslogReceiver implements AsyncDisposable {
  readonly #server;
  readonly #open = new Set<TLSSocket>();
  /** In the order in which they came, over all connections. */
  readonly messages: string[] = [];
  connections = 0;
  faults: string[] = [];
  /** After so many messages in all it cuts the connection, without a word. */
  readonly cuts: number[] = [];

  private constructor(options: TlsOptions) {
    this.#server = createServer({ minVersion: 'TLSv1.2', ...options }, (socket) => this.#serve(socket));
  }

  static async start(options: TlsOptions): Promise<SyslogReceiver> {
    const receiver = new SyslogReceiver(options);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async #serve(socket: TLSSocket): Promise<void> {
    this.connections++;
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => undefined);
    let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        // MSG-LEN is decimal without leading zeros, then one space, then as many bytes.
        const [frame, digits] = /^([1-9]\d{0,8}) /.exec(rest.subarray(0, 10).toString('latin1')) ?? [];
        if (frame === undefined || digits === undefined) {
          if (rest.length >= 10) this.faults.push('no message length');
          return;
        }
        const end = frame.length + Number(digits);
        if (rest.length < end) return;
        this.messages.push(rest.subarray(frame.length, end).toString('utf8'));
        rest = rest.subarray(end);
        if (this.messages.length === this.cuts[0]) {
          this.cuts.shift();
          socket.destroy();
          return;
        }
      }
    });
    socket.on('end', () => {
      if (rest.length > 0) this.faults.push(`the connection ended within a message: ${rest.length} bytes`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
