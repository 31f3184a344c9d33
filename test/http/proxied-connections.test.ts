import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ProxiedConnections, type ProxiedConnectionsDeps } from '#http/proxied-connections.ts';
import { proxyList } from '#http/source.ts';
import { proxyHeader, proxyHeaderFor } from '../fakes/proxy-header.ts';

/** Long enough for a test never to see it pass. */
const NEVER = 2 ** 30;

describe('connections through a proxy', () => {
  let server: Server;
  let strays: string[];
  /** Those that were handed on to what stands behind, which sends all it gets back. */
  let handedOn: Socket[];
  beforeEach(() => {
    [strays, handedOn] = [[], []];
    server = createServer((socket) => {
      handedOn.push(socket);
      socket.on('error', () => undefined).pipe(socket);
    });
  });
  afterEach(async () => {
    for (const socket of handedOn) socket.destroy();
    if (server.listening) await new Promise((closed) => server.close(closed));
  });

  async function guarded(change: Partial<ProxiedConnectionsDeps> = {}): Promise<ProxiedConnections> {
    const proxied = new ProxiedConnections({
      trusted: proxyList(['127.0.0.1']),
      deadlineMs: NEVER,
      onStray: (reason, address) => strays.push(`${reason} from ${address}`),
      ...change,
    });
    proxied.guard(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return proxied;
  }
  const port = () => (server.address() as AddressInfo).port;
  async function client(...pieces: readonly Buffer[]): Promise<Socket> {
    const socket = connect({ port: port(), host: '127.0.0.1', noDelay: true });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    for (const piece of pieces) await new Promise<void>((sent) => socket.write(piece, () => sent()));
    return socket;
  }
  /** Also of one that ends with an error. */
  const closed = (socket: Socket) => new Promise<void>((seen) => socket.resume().once('close', () => seen()));
  const count = () => new Promise<number>((told) => server.getConnections((_error, connections) => told(connections)));

  it('keep every byte that follows a header, and every byte where there is none', async () => {
    const proxied = await guarded();
    for (const pieces of [
      [Buffer.concat([proxyHeaderFor('203.0.113.9'), Buffer.from('hello')])],
      [proxyHeaderFor('203.0.113.9'), Buffer.from('hello')],
      [Buffer.from('hello')],
      [...proxyHeaderFor('203.0.113.9'), ...Buffer.from('hello')].map((byte) => Buffer.from([byte])),
    ]) {
      const socket = await client(...pieces);
      let echo = '';
      while (echo.length < 5) echo += String((await once(socket, 'data'))[0]);
      assert.equal(echo, 'hello');
      const known = proxied.headerOf(handedOn.at(-1) as Socket)?.address;
      assert.equal(known, pieces[0]?.[0] === 0x68 ? undefined : '203.0.113.9');
      socket.destroy();
    }
    assert.deepEqual(strays, []);
  });

  it('that never end their header are cut off at the deadline, whatever has come of it', async () => {
    await guarded({ deadlineMs: 20 });
    const header = proxyHeaderFor('203.0.113.9');
    for (const part of [0, 1, 12, 16, 27]) {
      const socket = await client(header.subarray(0, part));
      await closed(socket);
    }
    assert.deepEqual(strays, Array(5).fill('PROXY header: late from 127.0.0.1'));
    assert.deepEqual(handedOn, []);
  });

  it('that end within their header, or whose header is refused, are closed', async () => {
    await guarded();
    const short = await client(proxyHeaderFor('203.0.113.9').subarray(0, 20));
    short.end();
    await closed(short);
    const bad = await client(proxyHeader({ kind: 0x12 }));
    await closed(bad);
    assert.deepEqual(strays, [
      'PROXY header: cut short from 127.0.0.1',
      'PROXY header: family or addresses from 127.0.0.1',
    ]);
    assert.deepEqual(handedOn, []);
  });

  it('that are reset within their header leave nothing behind', async () => {
    await guarded();
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const socket = await client(proxyHeaderFor('203.0.113.9').subarray(0, 20));
    const [ours] = await accepted;
    const gone = new Promise((seen) => ours.once('close', seen));
    socket.resetAndDestroy();
    await gone;
    assert.equal(await count(), 0);
  });

  it('are the server’s: it counts them, and closes once those that wait are cut', async () => {
    const proxied = await guarded();
    const accepted = once(server, 'connection');
    const socket = await client(proxyHeaderFor('203.0.113.9').subarray(0, 20));
    await accepted;
    assert.equal(await count(), 1);
    const ended = once(server, 'close');
    server.close();
    proxied.cut();
    await Promise.all([ended, closed(socket)]);
    assert.deepEqual(strays, []);
  });

  it('of a peer that is not trusted are handed on untouched', async () => {
    const proxied = await guarded({ trusted: proxyList(['10.0.0.0/8']) });
    const header = proxyHeaderFor('203.0.113.9');
    const socket = await client(header);
    let echo = Buffer.alloc(0);
    while (echo.length < header.length) echo = Buffer.concat([echo, (await once(socket, 'data'))[0] as Buffer]);
    assert.deepEqual(echo, header);
    assert.equal(proxied.headerOf(handedOn[0] as Socket), null);
    socket.destroy();
  });
});
