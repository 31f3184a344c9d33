import { isIP } from 'node:net';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** The bytes of a PROXY header of version 2, as a test wants them. */
export function proxyHeader(
  change: { first?: number; kind?: number; block?: Buffer; length?: number; additions?: Buffer } = {},
): Buffer {
  const { first = 0x21, kind = 0x11, block = Buffer.alloc(12), additions = Buffer.alloc(0) } = change;
  const rest = Buffer.concat([block, additions]);
  const fixed = Buffer.from([first, kind, 0, 0]);
  fixed.writeUInt16BE(change.length ?? rest.length, 2);
  return Buffer.concat([SIGNATURE, fixed, rest]);
}

/** What a proxy sends for a client at this address; an IPv6 one with all of its eight groups. */
export function proxyHeaderFor(client: string, additions = Buffer.alloc(0)): Buffer {
  const ports = Buffer.from([0xc0, 0x00, 0x01, 0xbb]);
  if (isIP(client) === 4) {
    const bytes = Buffer.from(client.split('.').map(Number));
    return proxyHeader({ kind: 0x11, block: Buffer.concat([bytes, Buffer.from([10, 0, 0, 1]), ports]), additions });
  }
  const bytes = Buffer.from(
    client.split(':').flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  );
  return proxyHeader({ kind: 0x21, block: Buffer.concat([bytes, Buffer.alloc(16), ports]), additions });
}
