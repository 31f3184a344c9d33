import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readProxyHeader } from '#http/proxy-header.ts';
import { proxyHeader, proxyHeaderFor } from '../fakes/proxy-header.ts';

const HELLO = Buffer.from('160301020001', 'hex');

describe('a PROXY header', () => {
  it('names the client over IPv4 and over IPv6, and how long it is itself', () => {
    const four = proxyHeaderFor('203.0.113.9');
    assert.deepEqual(readProxyHeader(Buffer.concat([four, HELLO])), {
      length: 28,
      speaker: 'client',
      address: '203.0.113.9',
    });
    const six = proxyHeaderFor('2001:db8:0:0:0:0:0:1');
    assert.deepEqual(readProxyHeader(six), { length: 52, speaker: 'client', address: '2001:db8::1' });
  });

  it('may name an IPv4 client in the way of IPv6, which is the same address', () => {
    const header = readProxyHeader(proxyHeaderFor('0:0:0:0:0:ffff:cb00:7109'));
    assert.ok(typeof header === 'object');
    assert.equal(header.address, '203.0.113.9');
  });

  it('may hold additions, which are passed over, up to 536 bytes in all', () => {
    const additions = Buffer.alloc(536 - 28, 0xff);
    assert.deepEqual(readProxyHeader(proxyHeaderFor('203.0.113.9', additions)), {
      length: 536,
      speaker: 'client',
      address: '203.0.113.9',
    });
    assert.throws(() => readProxyHeader(proxyHeaderFor('203.0.113.9', Buffer.alloc(537 - 28))), /too long/);
  });

  it('that is too long is refused by its first 16 bytes, before the rest is waited for', () => {
    assert.throws(() => readProxyHeader(proxyHeader({ length: 65_535 }).subarray(0, 16)), /too long/);
  });

  it('of the proxy’s own connection names nobody, whatever it holds', () => {
    for (const kind of [0x00, 0x11, 0x21, 0xff])
      assert.deepEqual(readProxyHeader(proxyHeader({ first: 0x20, kind })), {
        length: 28,
        speaker: 'proxy',
        address: null,
      });
    assert.equal(
      (readProxyHeader(proxyHeader({ first: 0x20, kind: 0, block: Buffer.alloc(0) })) as { length: number }).length,
      16,
    );
  });

  it('of a client that the proxy can not name says so', () => {
    for (const [kind, bytes] of [
      [0x00, 0],
      [0x00, 20],
      [0x31, 216],
    ] as const)
      assert.deepEqual(readProxyHeader(proxyHeader({ kind, block: Buffer.alloc(bytes) })), {
        length: 16 + bytes,
        speaker: 'unknown',
        address: null,
      });
  });

  it('of another version, command, family or transport is refused, and one with too little room for its addresses', () => {
    for (const first of [0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff])
      assert.throws(() => readProxyHeader(proxyHeader({ first })), /version or command/, first.toString(16));
    for (const kind of [0x01, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30, 0x32, 0x41, 0xff])
      assert.throws(
        () => readProxyHeader(proxyHeader({ kind, block: Buffer.alloc(300) })),
        /family/,
        kind.toString(16),
      );
    for (const [kind, bytes] of [
      [0x11, 0],
      [0x11, 11],
      [0x21, 12],
      [0x21, 35],
      [0x31, 215],
    ] as const)
      assert.throws(() => readProxyHeader(proxyHeader({ kind, block: Buffer.alloc(bytes) })), /addresses/);
  });

  it('is waited for at each of its bytes', () => {
    const header = proxyHeaderFor('2001:db8:0:0:0:0:0:1', Buffer.from([4, 0, 1, 0]));
    for (let seen = 0; seen < header.length; seen++)
      assert.equal(readProxyHeader(header.subarray(0, seen)), 'more', `${seen} bytes`);
    assert.notEqual(readProxyHeader(header), 'more');
  });

  it('is nothing that begins otherwise: TLS, a header of version 1, HTTP, a signature with one wrong byte', () => {
    const signature = proxyHeader().subarray(0, 12);
    for (const bytes of [HELLO, HELLO.subarray(0, 1), Buffer.from('PROXY TCP4 '), Buffer.from('GET / HTTP/1.1\r\n')])
      assert.equal(readProxyHeader(bytes), 'none');
    for (let at = 0; at < signature.length; at++) {
      const wrong = Buffer.from(signature);
      wrong[at] = (wrong[at] ?? 0) ^ 1;
      assert.equal(readProxyHeader(wrong), 'none', `byte ${at}`);
    }
  });

  it('whatever its bytes, gives a length within what is there or is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 700 }), (tail) => {
        const bytes = Buffer.concat([proxyHeader().subarray(0, 12), tail]);
        let header: ReturnType<typeof readProxyHeader>;
        try {
          header = readProxyHeader(bytes);
        } catch (error) {
          assert.ok(error instanceof RangeError);
          return;
        }
        if (header === 'more') assert.ok(bytes.length < 16 + bytes.readUInt16BE(14));
        else assert.ok(header !== 'none' && header.length >= 16 && header.length <= Math.min(536, bytes.length));
      }),
    );
  });
});
