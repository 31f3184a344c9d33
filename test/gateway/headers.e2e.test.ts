import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';font-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'none';require-trusted-types-for 'script';trusted-types strongroom-worker";

function assertProtected({ headers }: Answer, what: string): void {
  assert.equal(headers['content-security-policy'], POLICY, what);
  assert.equal(headers['x-content-type-options'], 'nosniff', what);
  assert.equal(headers['x-frame-options'], 'DENY', what);
  assert.equal(headers['referrer-policy'], 'no-referrer', what);
  assert.equal(headers['cross-origin-opener-policy'], 'same-origin', what);
  assert.equal(headers['cross-origin-resource-policy'], 'same-origin', what);
  assert.equal(headers['x-powered-by'], undefined, what);
  assert.equal(headers['server'], undefined, what);
}

async function everyKindOfAnswer(test: TestGateway): Promise<[string, Answer][]> {
  const { client } = test;
  const session = await test.signIn('analyst');
  const kinds: [string, Promise<Answer>][] = [
    ['a page', client.get('/')],
    ['a file', client.get('/index.html')],
    ['a public route', client.get('/health')],
    ['an answer', client.get('/v1/models', session.bearer)],
    ['an empty answer', client.request('POST', '/auth/logout', { headers: session.bearer })],
    ['401', client.get('/v1/usage')],
    ['404', client.get('/nowhere')],
    ['404 of a file', client.get('/nowhere.js')],
    ['405', client.request('DELETE', '/v1/models')],
    ['422', client.post('/auth/login', {})],
    ['400 of a broken path', client.get('/v1/models/%')],
    ['400 of the boundary', client.request('OPTIONS', '/v1/models')],
  ];
  return Promise.all(kinds.map(async ([kind, answer]): Promise<[string, Answer]> => [kind, await answer]));
}

describe('security headers', () => {
  describe('with the development authority', () => {
    let test: TestGateway;
    before(async () => {
      test = await TestGateway.open({ models: {} });
    });
    after(() => test[Symbol.asyncDispose]());

    it('are on every answer, without HSTS', async () => {
      for (const [kind, answer] of await everyKindOfAnswer(test)) {
        assertProtected(answer, kind);
        assert.equal(answer.headers['strict-transport-security'], undefined, kind);
      }
    });
    it('answers of the interface are not stored', async () => {
      const session = await test.signIn('analyst');
      for (const path of ['/v1/models', '/v1/usage', '/auth/session', '/nowhere', '/auth/keys'])
        assert.equal((await test.client.get(path, session.bearer)).headers['cache-control'], 'no-store', path);
    });
    it('every answer of a route has a request id of ours, whatever the caller sends', async () => {
      const ids = new Set<string>();
      for (const path of ['/health', '/v1/models', '/nowhere', '/v1/models/%']) {
        const { headers } = await test.client.get(path, { 'x-request-id': 'mine' });
        assert.match(String(headers['x-request-id']), /^req_[0-9a-f]{32}$/, path);
        ids.add(String(headers['x-request-id']));
      }
      assert.equal(ids.size, 4);
    });
  });

  describe('with a configured certificate', () => {
    let test: TestGateway;
    let files: { certFile: string; keyFile: string };
    let authority: Buffer;

    before(async () => {
      test = await TestGateway.open(async (folder) => {
        const made = await ensureDevelopmentCertificate(join(folder, 'first'), { clock: systemClock, log: silentLog });
        files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
        await copyFile(made.certFile, files.certFile);
        await copyFile(made.keyFile, files.keyFile);
        authority = await readFile(made.caFile);
        return { models: {}, tls: files };
      });
      test.trust(authority);
    });
    after(() => test[Symbol.asyncDispose]());

    const fingerprint = (): Promise<string> => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const options = { host: '127.0.0.1', port: test.port, servername: 'localhost', rejectUnauthorized: false };
      const socket = connect(options, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.once('error', reject);
      return promise;
    };

    it('are on every answer, HSTS for two years with them', async () => {
      for (const [kind, answer] of await everyKindOfAnswer(test)) {
        assertProtected(answer, kind);
        assert.equal(answer.headers['strict-transport-security'], 'max-age=63072000; includeSubDomains', kind);
      }
    });

    it('the certificate is replaced without a restart, and a broken one is not taken', async () => {
      const before = await fingerprint();
      await writeFile(files.certFile, 'not a certificate');
      assert.equal(await test.gateway.reloadCertificate(), false);
      assert.equal(await fingerprint(), before);
      const made = await ensureDevelopmentCertificate(join(test.dataDir, 'next'), {
        clock: systemClock,
        log: silentLog,
      });
      await copyFile(made.keyFile, files.keyFile);
      await copyFile(made.certFile, files.certFile);
      assert.equal(await test.gateway.reloadCertificate(), true);
      assert.notEqual(await fingerprint(), before);
      test.trust(await readFile(made.caFile));
      assert.equal((await test.client.get('/health')).status, 200);
    });
  });
});
