import type { BlockList, Server, Socket } from 'node:net';
import { type ProxyHeader, readProxyHeader } from './proxy-header.ts';
import { isListed, plainAddress } from './source.ts';

export interface ProxiedConnectionsDeps {
  /** Who may put a PROXY header before a connection. */
  readonly trusted: BlockList;
  readonly onStray: (reason: string, address: string) => void;
  /** Milliseconds that a trusted peer has for its first bytes. */
  readonly deadlineMs?: number;
}

/** As long as a client has for the handshake that follows. */
const DEADLINE_MS = 10_000;

/**
 * Connections that come through trusted proxies: what they say of the client in a PROXY header (version 2) is taken off
 * before TLS begins, and remembered for as long as the connection lasts. A peer that is not trusted is handed on as it is,
 * so that TLS refuses whatever header it sends. A trusted one need not send any.
 */
export class ProxiedConnections {
  readonly #deps: Required<ProxiedConnectionsDeps>;
  /** Connections whose first bytes are awaited. */
  readonly #waiting = new Set<Socket>();
  /** By the two ends of a connection, which its TLS socket and the one beneath have in common. */
  readonly #byEnds = new Map<string, ProxyHeader>();
  readonly #known = new WeakMap<Socket, ProxyHeader | null>();

  constructor(deps: ProxiedConnectionsDeps) {
    this.#deps = { deadlineMs: DEADLINE_MS, ...deps };
  }

  /** Stands before the TLS of this server, which still accepts, counts and closes the connections itself. */
  guard(server: Server): void {
    const handOver = server.listeners('connection');
    server.removeAllListeners('connection');
    const next = (socket: Socket) => {
      for (const listener of handOver) listener.call(server, socket);
    };
    server.on('connection', (socket: Socket) => {
      if (isListed(this.#deps.trusted, plainAddress(socket.remoteAddress))) this.#await(socket, next);
      else next(socket);
    });
    // Looked up while the connection is certainly there.
    server.prependListener('secureConnection', (socket: Socket) => void this.headerOf(socket));
  }

  /** What stood before a connection; null where nothing did. */
  headerOf(socket: Socket): ProxyHeader | null {
    let header = this.#known.get(socket);
    if (header === undefined) {
      header = this.#byEnds.get(endsOf(socket)) ?? null;
      this.#known.set(socket, header);
    }
    return header;
  }

  /** Ends the connections whose first bytes are still awaited. */
  cut(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #await(socket: Socket, next: (socket: Socket) => void): void {
    const address = plainAddress(socket.remoteAddress);
    let seen: Buffer = Buffer.alloc(0);
    const leave = () => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('readable', look).off('end', cutShort).off('error', leave).off('close', leave);
    };
    const refuse = (reason: string) => {
      leave();
      socket.destroy();
      this.#deps.onStray(reason, address);
    };
    const cutShort = () => refuse('PROXY header: cut short');
    const look = () => {
      const piece: Buffer | null = socket.read();
      if (piece === null) return;
      seen = Buffer.concat([seen, piece]);
      let header: ReturnType<typeof readProxyHeader>;
      try {
        header = readProxyHeader(seen);
      } catch (error) {
        refuse((error as RangeError).message);
        return;
      }
      if (header === 'more') return;
      leave();
      if (header !== 'none') this.#remember(socket, header);
      // TLS takes what lies in the buffer for what has just come.
      const rest = header === 'none' ? seen : seen.subarray(header.length);
      if (rest.length > 0) socket.unshift(rest);
      next(socket);
    };
    const timer = setTimeout(() => refuse('PROXY header: late'), this.#deps.deadlineMs);
    this.#waiting.add(socket);
    socket.on('readable', look).on('end', cutShort).on('error', leave).on('close', leave);
  }

  #remember(socket: Socket, header: ProxyHeader): void {
    const ends = endsOf(socket);
    this.#byEnds.set(ends, header);
    socket.once('close', () => {
      // The same ends may already be those of the next connection.
      if (this.#byEnds.get(ends) === header) this.#byEnds.delete(ends);
    });
  }
}

const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
