import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

/** Promise 19: every trap of security.md's table, as bytes over TLS to a whole gateway. */
describe('promise 19: the HTTP boundary is strict', () => {
  let test: TestGateway;
  let analyst: Session;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  const HOST = 'Host: localhost\r\n';
  const POST = `POST /auth/login HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;
  const CHUNKED = 'Transfer-Encoding: chunked\r\n';

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({ models: { demo: upstreamEntry(upstream.url) } });
    analyst = await test.signIn('analyst');
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const heads = (answer: string): string[] => answer.match(/HTTP\/1\.1 \d{3}[^\r]*/g) ?? [];

  const refused: [string, string][] = [
    ['Transfer-Encoding: xchunked', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['Transfer-Encoding: gzip, chunked', `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['Transfer-Encoding twice', `${POST}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n`],
    ['Transfer-Encoding and Content-Length', `${POST}${CHUNKED}Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['Content-Length twice', `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
    ['Content-Length: 2, 2', `${POST}Content-Length: 2, 2\r\n\r\n{}`],
    ['Content-Length: +2', `${POST}Content-Length: +2\r\n\r\n{}`],
    ['a chunk extension ended by a bare LF', `${POST}${CHUNKED}\r\n2;a\n{}\r\n0\r\n\r\n`],
    ['chunks ended by a bare LF', `${POST}${CHUNKED}\r\n2\n{}\n0\n\n`],
    ['lines ended by a bare LF', `GET /health HTTP/1.1\nHost: localhost\n\n`],
    ['a bare CR in a header', `GET /health HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n`],
    ['a folded header', `GET /health HTTP/1.1\r\n${HOST}X-A: b\r\n c\r\n\r\n`],
    ['a folded Transfer-Encoding', `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['a blank before the colon', `GET /health HTTP/1.1\r\n${HOST}X-A : b\r\n\r\n`],
    ['two Host headers', `GET /health HTTP/1.1\r\n${HOST}Host: evil\r\n\r\n`],
    ['no Host header', 'GET /health HTTP/1.1\r\n\r\n'],
    ['an empty Host header', 'GET /health HTTP/1.1\r\nHost:\r\n\r\n'],
    ['a Host with a path', 'GET /health HTTP/1.1\r\nHost: a/b@c\r\n\r\n'],
    ['an absolute-form target', `GET https://localhost/health HTTP/1.1\r\n${HOST}\r\n`],
    ['an asterisk target', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
    ['a target with two slashes', `GET //evil/health HTTP/1.1\r\n${HOST}\r\n`],
    ['a target with a backslash', `GET /\\evil HTTP/1.1\r\n${HOST}\r\n`],
    ['raw bytes above ASCII in the target', `GET /h\u00e9alth HTTP/1.1\r\n${HOST}\r\n`],
    ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
    ['OPTIONS', `OPTIONS /v1/models HTTP/1.1\r\n${HOST}\r\n`],
    ['a method that nobody knows', `BREW / HTTP/1.1\r\n${HOST}\r\n`],
    ['a method in lower case', `get /health HTTP/1.1\r\n${HOST}\r\n`],
    ['GET with a body', `GET /health HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`],
    ['GET with chunks', `GET /health HTTP/1.1\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`],
    ['HEAD with a body', `HEAD /health HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`],
    ['HTTP/1.0', `GET /health HTTP/1.0\r\n${HOST}\r\n`],
    ['HTTP/1.0 with Transfer-Encoding', `POST /auth/login HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`],
    ['HTTP/0.9', 'GET /health\r\n\r\n'],
    ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an upgrade', `GET / HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`],
    ['an expectation that is none', `${POST}Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}`],
    ['two Authorization headers', `GET /health HTTP/1.1\r\n${HOST}Authorization: a\r\nAuthorization: b\r\n\r\n`],
    ['two Content-Type headers', `${POST}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}`],
    ['two Origin headers', `${POST}Origin: https://a\r\nOrigin: https://b\r\nContent-Length: 2\r\n\r\n{}`],
  ];
  for (const [name, bytes] of refused) {
    it(`refuses ${name}: one 400, and the connection is closed`, async () => {
      const answer = await test.client.raw(Buffer.from(bytes, 'latin1'));
      assert.deepEqual(heads(answer), ['HTTP/1.1 400 Bad Request']);
      assert.match(answer, /connection: close/i);
      assert.match(answer, /x-content-type-options: nosniff/i);
      assert.doesNotMatch(answer, /evil|nonsense|status":"ok/);
    });
  }

  it('answers headers that are too large with 431', async () => {
    const answer = await test.client.raw(`GET /health HTTP/1.1\r\n${HOST}X-A: ${'a'.repeat(20_000)}\r\n\r\n`);
    assert.deepEqual(heads(answer), ['HTTP/1.1 431 Request Header Fields Too Large']);
  });

  it('opens no tunnel', async () => {
    assert.deepEqual(heads(await test.client.raw(`CONNECT evil:443 HTTP/1.1\r\n${HOST}\r\n`)), []);
  });

  it('takes chunks that are written as they should be', async () => {
    const answer = await test.client.raw(`${POST}${CHUNKED}Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n`);
    assert.deepEqual(heads(answer), ['HTTP/1.1 422 Unprocessable Entity']);
  });

  it('does not serve a request that was smuggled behind one that is refused', async () => {
    const inner = `GET /health HTTP/1.1\r\n${HOST}\r\n`;
    for (const outer of [
      `GET /health HTTP/1.1\r\n${HOST}Content-Length: ${inner.length}\r\n\r\n`,
      `${POST}Transfer-Encoding: xchunked\r\n\r\n`,
      `POST /auth/logout HTTP/1.1\r\n${HOST}Content-Length: ${inner.length}\r\n\r\n`,
    ]) {
      const answer = await test.client.raw(outer + inner);
      assert.equal(heads(answer).length, 1, answer);
      assert.doesNotMatch(answer, /status":"ok/);
    }
  });

  it('writes no refusal into an answer that is under way', async () => {
    upstream.set({ pieces: ['one'], silentAfter: 1, loop: true });
    const body = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'x' }], stream: true });
    const ask = `POST /v1/chat/completions HTTP/1.1\r\n${HOST}Authorization: Bearer ${analyst.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await test.client.raw(ask, (answered) => (answered.includes('one') ? 'GARBAGE\r\n\r\n' : null));
    assert.deepEqual(heads(answer), ['HTTP/1.1 200 OK']);
    assert.doesNotMatch(answer, /DONE/);
    upstream.set({});
  });

  describe('paths', () => {
    const get = (path: string) => test.client.get(path, analyst.bearer);
    it('are matched to the letter, case included', async () => {
      for (const path of ['/V1/Models', '/v1/Models', '/ADMIN/models', '/admin/MODELS', '/Auth/session', '/HEALTH'])
        assert.equal((await get(path)).status, 404, path);
    });
    it('have no second spelling', async () => {
      for (const path of [
        '/v1/models/',
        '/v1//models',
        '/v1/./models',
        '/v1/x/../models',
        '/v1/models;x',
        '/%761/models',
      ])
        assert.notEqual((await get(path)).status, 200, path);
    });
    it('do not carry what is no name of anything', async () => {
      for (const name of ['%00', 'demo%00', 'a%2fb', '%2e%2e%2fdemo', 'demo%0a', '%'])
        assert.ok([400, 404].includes((await get(`/v1/models/${name}`)).status), name);
    });
    it('do not leave the folder of the portal', async () => {
      for (const path of ['/../package.json', '/%2e%2e/%2e%2e/package.json', '/..%2f..%2fpackage.json', '/.git/config'])
        assert.equal((await get(path)).status, 404, path);
    });
    it('answer another method with 405 and Allow', async () => {
      const answer = await test.client.request('DELETE', '/v1/models');
      assert.deepEqual([answer.status, answer.headers.allow, answer.code], [405, 'GET', 'method_not_allowed']);
    });
  });

  it('counts what never reached a route', async () => {
    const metrics = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
    assert.match(metrics, /strongroom_strays_total\{reason="transfer coding"\} \d/);
    assert.doesNotMatch(metrics, /evil|smuggled/);
  });
});
