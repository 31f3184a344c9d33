import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, type Socket } from 'node:net';
import type { ProxyHeader } from './proxy-header.ts';

/** Where a request comes from. */
export interface Source {
  /** Of the client. */
  readonly address: string;
  /** Of the trusted proxy that is connected to us; null where the client itself is. */
  readonly peer: string | null;
}

/** Networks whose word on a client's address is believed. @throws TypeError for what is neither an address nor a CIDR. */
export function proxyList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (isIP(address) === 0) throw new TypeError(`not an address or network: ${entry}`);
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/**
 * Finds out where requests come from. `X-Forwarded-For` is read from its end for as long as a trusted proxy is speaking:
 * behind a PROXY header that names a client, that is if the client is one itself.
 *
 * @param headers of the connections; null where no proxy is trusted
 */
export function sourceFinder(
  trusted: BlockList,
  headers: { headerOf(socket: Socket): ProxyHeader | null } | null,
): (request: IncomingMessage) => Source {
  return ({ socket, headers: { 'x-forwarded-for': forwarded } }) => {
    const peer = plainAddress(socket.remoteAddress);
    if (headers === null) return { address: peer, peer: null };
    const header = headers.headerOf(socket);
    let address = header?.address ?? peer;
    // What a client of unknown address writes is not the proxy's word.
    if (header?.speaker !== 'unknown' && typeof forwarded === 'string') {
      const hops = forwarded.split(',');
      while (isListed(trusted, address)) {
        const hop = plainAddress(hops.pop()?.trim());
        if (isIP(hop) === 0) break;
        address = hop;
      }
    }
    return { address, peer: address === peer ? null : peer };
  };
}

/** An IPv4 address as such, where a socket for both writes it as one of IPv6. */
export const plainAddress = (address = 'unknown'): string =>
  address.startsWith('::ffff:') ? address.slice(7) : address;

export const isListed = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
