import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { proxyHeader, proxyHeaderFor } from '../fakes/proxy-header.ts';
import { type Session, TestGateway } from '../harness/gateway.ts';

/** Sends one request over a TLS connection that is kept, and reads its answer, whose body is JSON. */
async function ask(socket: TLSSocket, path: string, headers: Readonly<Record<string, string>> = {}, sent?: string) {
  const body = sent === undefined ? {} : { 'content-type': 'application/json', 'content-length': `${sent.length}` };
  const all = Object.entries({ host: 'localhost', ...body, ...headers });
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`${sent === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\n${lines}\r\n${sent ?? ''}`);
  let text = '';
  for (;;) {
    const [piece] = (await once(socket, 'data')) as [Buffer];
    text += piece.toString('latin1');
    const [head = '', body] = text.split('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (body !== undefined && body.length >= length)
      return { status: Number(head.slice(9, 12)), requestId: /x-request-id: (\S+)/i.exec(head)?.[1] ?? '', body };
  }
}

/** TLS over a connection to this port, before which these bytes have gone; `joined` goes in one piece with its first ones. */
async function secured(port: number, ca: Buffer, before: readonly Buffer[], joined?: Buffer): Promise<TLSSocket> {
  const tcp = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  await once(tcp, 'connect');
  for (const bytes of before) await new Promise<void>((sent) => tcp.write(bytes, () => sent()));
  const socket = connectTls({ socket: joined === undefined ? tcp : behind(tcp, joined), ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  return socket;
}

/** The same connection, whose first piece has these bytes before it. */
function behind(tcp: Socket, first: Buffer): Duplex {
  let before: Buffer | null = first;
  const duplex = new Duplex({
    read: () => undefined,
    write: (piece: Buffer, _encoding, done) => {
      tcp.write(before === null ? piece : Buffer.concat([before, piece]), () => done());
      before = null;
    },
    destroy: (error, done) => {
      tcp.destroy();
      done(error);
    },
  });
  tcp.on('data', (piece) => duplex.push(piece));
  tcp.on('close', () => duplex.destroy(new Error('closed')));
  return duplex;
}

const bytewise = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.from([byte]));

describe('a gateway behind a proxy that is trusted', () => {
  let test: TestGateway;
  let analyst: Session;
  before(async () => {
    test = await TestGateway.open({ models: {}, http: { trustedProxies: ['127.0.0.0/8'] } });
    analyst = await test.signIn('analyst');
  });
  after(() => test[Symbol.asyncDispose]());

  const open = (before: readonly Buffer[]) => secured(test.port, test.authority, before);
  /** What a record says of where a refused request came from. */
  const source = async (socket: TLSSocket, headers: Readonly<Record<string, string>> = {}) => {
    const { status, requestId } = await ask(socket, '/admin/users', { ...analyst.bearer, ...headers });
    assert.equal(status, 403);
    const [record] = await test.recorded(requestId);
    return [record?.event['address'], record?.event['peer']];
  };

  it('records the client that a PROXY header names, and the proxy beside it', async () => {
    const four = await open([proxyHeaderFor('203.0.113.9')]);
    assert.deepEqual(await source(four), ['203.0.113.9', '127.0.0.1']);
    four.destroy();
    const six = await open([proxyHeaderFor('2001:db8:0:0:0:0:0:1', Buffer.from([4, 0, 1, 0]))]);
    assert.deepEqual(await source(six), ['2001:db8::1', '127.0.0.1']);
    six.destroy();
  });

  it('does so for every request of the connection, and never for one of another', async () => {
    const [one, other] = [await open([proxyHeaderFor('203.0.113.1')]), await open([proxyHeaderFor('203.0.113.2')])];
    for (let n = 0; n < 2; n++) {
      assert.deepEqual(await source(one), ['203.0.113.1', '127.0.0.1']);
      assert.deepEqual(await source(other), ['203.0.113.2', '127.0.0.1']);
    }
    one.destroy();
    other.destroy();
    const plain = await open([]);
    assert.deepEqual(await source(plain), ['127.0.0.1', undefined]);
    plain.destroy();
  });

  it('takes a header byte by byte', async () => {
    const socket = await open(bytewise(proxyHeaderFor('203.0.113.9')));
    assert.deepEqual(await source(socket), ['203.0.113.9', '127.0.0.1']);
    socket.destroy();
  });

  it('takes a header and the beginning of TLS in one piece', async () => {
    const socket = await secured(test.port, test.authority, [], proxyHeaderFor('203.0.113.9'));
    assert.deepEqual(await source(socket), ['203.0.113.9', '127.0.0.1']);
    socket.destroy();
  });

  it('records it for a sign-in too', async () => {
    const socket = await open([proxyHeaderFor('203.0.113.9')]);
    const body = JSON.stringify({
      username: test.account('analyst').username,
      password: test.account('analyst').password,
    });
    const { status, requestId } = await ask(socket, '/auth/login', {}, body);
    assert.equal(status, 200);
    const [record] = await test.recorded(requestId);
    assert.deepEqual([record?.event['address'], record?.event['peer']], ['203.0.113.9', '127.0.0.1']);
    socket.destroy();
  });

  it('refuses a header that is none, and counts it', async () => {
    for (const bad of [proxyHeader({ first: 0x22 }), proxyHeader({ length: 2000 }), proxyHeader({ kind: 0x12 })])
      await assert.rejects(open([bad]));
    const metrics = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
    assert.match(metrics, /strongroom_strays_total\{reason="PROXY header: too long"\} 1/);
  });

  it('believes X-Forwarded-For of the proxy, not of the client that the header names', async () => {
    const forwarded = { 'x-forwarded-for': '198.51.100.7' };
    const named = await open([proxyHeaderFor('203.0.113.9')]);
    assert.deepEqual(await source(named, forwarded), ['203.0.113.9', '127.0.0.1']);
    named.destroy();
    const unnamed = await open([proxyHeader({ kind: 0, block: Buffer.alloc(0) })]);
    assert.deepEqual(await source(unnamed, forwarded), ['127.0.0.1', undefined]);
    unnamed.destroy();
    const own = await open([proxyHeader({ first: 0x20, kind: 0, block: Buffer.alloc(0) })]);
    assert.deepEqual(await source(own, forwarded), ['198.51.100.7', '127.0.0.1']);
    own.destroy();
    const second = await open([proxyHeaderFor('127.0.0.2')]);
    assert.deepEqual(await source(second, forwarded), ['198.51.100.7', '127.0.0.1']);
    second.destroy();
  });
});

describe('a gateway whose peer is no trusted proxy', () => {
  let test: TestGateway;
  before(async () => {
    test = await TestGateway.open({ models: {}, http: { trustedProxies: ['10.0.0.0/8'] } });
  });
  after(() => test[Symbol.asyncDispose]());

  it('never looks at a PROXY header: the handshake fails', async () => {
    await assert.rejects(secured(test.port, test.authority, [proxyHeaderFor('203.0.113.9')]));
    await assert.rejects(secured(test.port, test.authority, [], proxyHeaderFor('203.0.113.9')));
    const { status } = await test.client.get('/health');
    assert.equal(status, 200);
  });
});
