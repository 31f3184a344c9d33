import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import type { ProxyHeader } from '#http/proxy-header.ts';
import { proxyList, sourceFinder } from '#http/source.ts';

const TRUSTED = proxyList(['10.0.0.0/8', '2001:db8:1::/48', '192.0.2.1']);

describe('where a request comes from', () => {
  const from = (remoteAddress: string, forwarded?: string, header: ProxyHeader | null = null) =>
    sourceFinder(TRUSTED, { headerOf: () => header })({
      socket: { remoteAddress },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    } as unknown as IncomingMessage);
  const client = (address: string): ProxyHeader => ({ length: 28, speaker: 'client', address });

  it('is the peer, whatever it forwards, unless it is trusted', () => {
    assert.deepEqual(from('203.0.113.9', '198.51.100.1'), { address: '203.0.113.9', peer: null });
    assert.deepEqual(from('::ffff:203.0.113.9'), { address: '203.0.113.9', peer: null });
    const nobody = sourceFinder(proxyList([]), null);
    const asked = { socket: { remoteAddress: '10.0.0.1' }, headers: { 'x-forwarded-for': '198.51.100.1' } };
    assert.deepEqual(nobody(asked as unknown as IncomingMessage), { address: '10.0.0.1', peer: null });
  });

  it('is the last that a chain of trusted proxies forwards, and the peer is told beside it', () => {
    assert.deepEqual(from('10.0.0.1', '1.1.1.1, 198.51.100.1, 10.0.0.2'), {
      address: '198.51.100.1',
      peer: '10.0.0.1',
    });
    assert.deepEqual(from('2001:db8:1::1', '2001:db8:9::9'), { address: '2001:db8:9::9', peer: '2001:db8:1::1' });
    assert.deepEqual(from('10.0.0.1'), { address: '10.0.0.1', peer: null });
    for (const nonsense of ['', 'unknown', 'localhost, ', '1.2.3.4.5', '1.2.3.4:80'])
      assert.deepEqual(from('10.0.0.1', nonsense), { address: '10.0.0.1', peer: null }, nonsense);
  });

  it('is whom a PROXY header names: what that client forwards is believed only if it is a trusted proxy itself', () => {
    assert.deepEqual(from('10.0.0.1', '1.1.1.1', client('198.51.100.1')), {
      address: '198.51.100.1',
      peer: '10.0.0.1',
    });
    assert.deepEqual(from('10.0.0.1', '203.0.113.9', client('192.0.2.1')), {
      address: '203.0.113.9',
      peer: '10.0.0.1',
    });
  });

  it('is the proxy where it speaks for itself, and where it can not say for whom; then nothing forwarded is believed', () => {
    const proxy: ProxyHeader = { length: 16, speaker: 'proxy', address: null };
    assert.deepEqual(from('10.0.0.1', '203.0.113.9', proxy), { address: '203.0.113.9', peer: '10.0.0.1' });
    const unknown: ProxyHeader = { length: 16, speaker: 'unknown', address: null };
    assert.deepEqual(from('10.0.0.1', '203.0.113.9', unknown), { address: '10.0.0.1', peer: null });
  });
});
