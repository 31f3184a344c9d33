import { once } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { framed, syslogMessage } from './syslog.ts';
import type { TailSink } from './tail.ts';

export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** PEM: what the receiver must chain to; absent: the system's authorities. */
  readonly ca?: Buffer;
  /** PEM: ours, where the receiver asks for one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly confirmAfter?: TailSink['confirmAfter'];
  /** Nothing is written for so long before a connection is ended: a receiver that is gone shows by then. Default 1,000. */
  readonly quietMs?: number;
}

const PATIENCE_MS = 15_000;
const CONFIRM_AFTER = { milliseconds: 5000, records: 10_000 };
const QUIET_MS = 1000;

/**
 * Syslog over TLS (RFC 5425): octet counting, the receiver's certificate and name verified. Syslog acknowledges nothing,
 * so a place counts as reached when the receiver has answered our orderly end of the connection (section 4.4) with its
 * own: its TLS has then read everything before it. Each confirmation is therefore the end of a connection; the next write
 * opens another.
 */
export function tlsSyslog(options: SyslogOptions): TailSink {
  const quietMs = options.quietMs ?? QUIET_MS;
  let line: Line | null = null;
  return {
    confirmAfter: options.confirmAfter ?? CONFIRM_AFTER,
    async write(rows) {
      line ??= await Line.open(options);
      for (const row of rows) await line.write(framed(syslogMessage(row, hostname())));
    },
    async confirm() {
      const ending = line;
      line = null;
      await ending?.end(quietMs);
    },
    reset() {
      line?.cut();
      line = null;
    },
  };
}

/** One connection. */
class Line {
  readonly #socket: TLSSocket;
  /** Aborts when the receiver is gone; it never is while all is well, since it has nothing to say. */
  readonly #gone = new AbortController();
  readonly #closed: Promise<unknown>;
  #ending = false;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    const lost = (error?: Error) => this.#gone.abort(error ?? new Error('the receiver closed the connection'));
    socket.on('error', lost);
    socket.on('end', () => {
      if (!this.#ending) lost();
    });
    this.#closed = once(socket, 'close').catch(() => undefined);
    socket.resume();
  }

  static async open({ host, port, ca, cert, key }: SyslogOptions): Promise<Line> {
    const socket = connect({
      host,
      port,
      servername: /^[\d.]+$|:/.test(host) ? '' : host,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch (error) {
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    }
    socket.setKeepAlive(true, PATIENCE_MS);
    return new Line(socket);
  }

  async write(bytes: Buffer): Promise<void> {
    this.#gone.signal.throwIfAborted();
    if (!this.#socket.write(bytes)) await once(this.#socket, 'drain', { signal: this.#gone.signal });
  }

  /** @throws Error unless the receiver ends the connection in order, too. */
  async end(quietMs: number): Promise<void> {
    await sleep(quietMs, undefined, { signal: this.#gone.signal }).catch(() => this.#gone.signal.throwIfAborted());
    this.#ending = true;
    const timer = setTimeout(() => this.#socket.destroy(new Error('the receiver does not end')), PATIENCE_MS);
    this.#socket.end();
    await this.#closed;
    clearTimeout(timer);
    this.#gone.signal.throwIfAborted();
  }

  cut(): void {
    this.#socket.destroy();
  }
}
