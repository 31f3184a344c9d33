import { SocketAddress } from 'node:net';
import { plainAddress } from './source.ts';

/** What a PROXY header says of the connection that it stands before. */
export interface ProxyHeader {
  /** Bytes of the header; what follows is the connection's own. */
  readonly length: number;
  /**
   * `client`: the proxy hands on somebody's connection. `unknown`: it does, and does not say whose. `proxy`: the proxy
   * speaks for itself, as it does to see whether we are there.
   */
  readonly speaker: 'client' | 'unknown' | 'proxy';
  /** The client's address; null for the other two. */
  readonly address: string | null;
}

/** No TLS begins like this: its first byte is 0x16. */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const FIXED = 16;
/** Addresses and additions together. The specification wants a header to fit into one segment of the smallest kind. */
const LONGEST = 536;

/** Bytes of the address block by family and transport; others are refused, since over TCP they make no sense. */
const BLOCKS: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 216],
]);

/**
 * Reads a PROXY header of version 2 (HAProxy's specification of the PROXY protocol, section 2.2) off the beginning of a
 * connection. Additions (TLVs) are passed over. `more`: not all of it is there yet; `none`: what is there begins
 * otherwise. MUST only be asked about connections whose peer is trusted.
 *
 * @throws RangeError for a header that is none of version 2, longer than 536 bytes, or of a kind that TCP does not have
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'none' {
  const seen = Math.min(bytes.length, SIGNATURE.length);
  if (bytes.compare(SIGNATURE, 0, seen, 0, seen) !== 0) return 'none';
  if (bytes.length < FIXED) return 'more';
  const version = bytes.readUInt8(12);
  const length = FIXED + bytes.readUInt16BE(14);
  if (version !== 0x20 && version !== 0x21) throw new RangeError('PROXY header: version or command');
  if (length > LONGEST) throw new RangeError('PROXY header: too long');
  if (bytes.length < length) return 'more';
  // For its own connections the proxy may fill in what it likes.
  if (version === 0x20) return { length, speaker: 'proxy', address: null };
  const kind = bytes.readUInt8(13);
  const block = BLOCKS.get(kind);
  if (block === undefined || length < FIXED + block) throw new RangeError('PROXY header: family or addresses');
  if (kind === 0x11) return { length, speaker: 'client', address: [...bytes.subarray(FIXED, FIXED + 4)].join('.') };
  if (kind === 0x21) return { length, speaker: 'client', address: ipv6(bytes.subarray(FIXED, FIXED + 16)) };
  return { length, speaker: 'unknown', address: null };
}

/** As Node writes addresses, so that lists and records need to know one way of writing only. */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(2 * n).toString(16));
  return plainAddress(new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address);
}
