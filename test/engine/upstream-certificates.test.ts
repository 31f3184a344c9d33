import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Engine } from '#engine/engine.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { openTlsFiles, type TlsFiles } from '#engine/upstream/rotating-tls.files.ts';
import { systemClock } from '#kernel/clock.ts';
import { type Log, type LogFields, silentLog } from '#kernel/log.ts';
import type { Problem } from '#kernel/problem.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';
import { answer } from './demo.ts';

const COMPLETION = JSON.stringify({
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
});

interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** Signed by itself; a server that trusts it knows whoever has its key. Only after the library was loaded once. */
async function clientIdentity(name: string): Promise<Identity> {
  const { PemConverter, X509CertificateGenerator, ExtendedKeyUsageExtension, ExtendedKeyUsage } = await import(
    '@peculiar/x509'
  );
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])],
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: certificate.toString('pem'), key };
}

describe('certificates for a model server', () => {
  let folder: string;
  let server: ReturnType<typeof createServer>;
  let first: { ca: string } & Identity;
  let second: { ca: string } & Identity;
  let old: Identity;
  let fresh: Identity;
  let questions: string[] = [];
  let keepsConnections = true;
  const lines: { readonly message: string; readonly fields: LogFields }[] = [];
  const write = (message: string, fields: LogFields = {}) => void lines.push({ message, fields });
  const log: Log = { ...silentLog, info: write, warn: write, error: write };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-certificates-'));
    const made = async (name: string) => {
      const deps = { clock: systemClock, log: silentLog };
      const { caFile, certFile, keyFile } = await ensureDevelopmentCertificate(join(folder, name), deps);
      const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((file) => readFile(file, 'utf8')));
      return { ca: ca ?? '', cert: cert ?? '', key: key ?? '' };
    };
    [first, second] = [await made('a'), await made('b')];
    [old, fresh] = [await clientIdentity('old'), await clientIdentity('fresh')];
    server = createServer({}, (request, response) => {
      const { CN = 'nobody' } = (request.socket as TLSSocket).getPeerCertificate().subject ?? {};
      if (request.method === 'POST') questions.push(String(CN));
      response.shouldKeepAlive = keepsConnections;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(request.method === 'POST' ? COMPLETION : '{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    questions = [];
    lines.length = 0;
    keepsConnections = true;
    show(first);
  });

  /** From now on it is this server, and lets in whom it trusts, where it names somebody. */
  function show({ cert, key }: Identity, trusted?: Identity): void {
    server.setSecureContext({ cert, key, ...(trusted === undefined ? {} : { ca: trusted.cert }) });
    Object.assign(server, { requestCert: trusted !== undefined, rejectUnauthorized: trusted !== undefined });
    server.closeAllConnections();
  }

  /** Files as secrets are mounted: behind a link that is replaced. */
  async function put(name: string, text: string): Promise<string> {
    const link = join(folder, name);
    const file = await mkdtemp(join(folder, 'v-')).then((at) => join(at, name));
    await writeFile(file, text);
    await symlink(file, `${link}.new`);
    await rename(`${link}.new`, link);
    return link;
  }

  async function opened(
    files: TlsFiles,
  ): Promise<{ readonly engine: Engine; readonly reload: () => Promise<boolean> }> {
    const tls = await openTlsFiles(files, log);
    const urls = [`https://127.0.0.1:${(server.address() as AddressInfo).port}`];
    const engine = openUpstreamModel(
      { id: 'up', urls, model: 'm', maxOutputTokens: 10, tls },
      { log, clock: systemClock },
    );
    await engine.load();
    return { engine, reload: () => tls.reload() };
  }
  const asks = async (engine: Engine) => (await answer(engine, { stream: false })).text;
  const failed = (error: unknown) => (error as Problem).code === 'engine_failed';

  it('the authority is replaced without a restart and without a lost question', async () => {
    keepsConnections = false;
    const caFile = await put('ca', first.ca);
    const { engine } = await opened({ caFile });
    assert.equal(await asks(engine), 'Hello');
    await put('ca', second.ca);
    show(second);
    // Refused under the old one, before anything was sent; then the file is looked at.
    assert.equal(await asks(engine), 'Hello');
    assert.equal(questions.length, 2);
    await engine.close();
  });

  it('whoever the new authority did not sign is asked nothing more, not even over a connection that stands', async () => {
    const caFile = await put('ca', first.ca);
    const { engine, reload } = await opened({ caFile });
    assert.equal(await asks(engine), 'Hello');
    await put('ca', second.ca);
    assert.deepEqual([await reload(), await reload()], [true, false]);
    await assert.rejects(asks(engine), failed);
    assert.equal(questions.length, 1);
    await engine.close();
  });

  it('a server that asks who we are is shown the certificate, and the new one when it was replaced', async () => {
    const caFile = await put('ca', first.ca);
    show(first, old);
    const unknown = await opened({ caFile });
    await assert.rejects(asks(unknown.engine), failed);
    await unknown.engine.close();

    const [certFile, keyFile] = [await put('cert', old.cert), await put('key', old.key)];
    const { engine, reload } = await opened({ caFile, certFile, keyFile });
    assert.equal(await asks(engine), 'Hello');
    // The first of two files: they do not belong together, and nothing changes.
    await put('cert', fresh.cert);
    assert.equal(await reload(), false);
    assert.equal(lines.filter(({ message }) => /not usable/.test(message)).length, 1);
    assert.equal(await asks(engine), 'Hello');
    await put('key', fresh.key);
    show(first, fresh);
    assert.equal(await asks(engine), 'Hello');
    assert.deepEqual(questions, ['old', 'old', 'fresh']);
    await engine.close();
    const told = JSON.stringify(lines);
    for (const { key } of [old, fresh]) assert.ok(!told.includes(key.split('\n')[1] ?? key));
  });

  it('files that hold no certificate, half of one, or another’s key are refused at the start, by name alone', async () => {
    const refused = async (files: TlsFiles, message: RegExp) =>
      assert.rejects(openTlsFiles(files, log), (error: Error) => {
        assert.ok(!error.message.includes(old.key.split('\n')[1] ?? ''));
        return message.test(error.message);
      });
    const [certFile, keyFile] = [await put('cert', old.cert), await put('key', fresh.key)];
    await refused({ certFile, keyFile }, /key: is not the key of .*cert$/);
    await refused({ certFile, keyFile: await put('key', 'no key') }, /key: is not the key of/);
    for (const text of ['', 'no certificate', `${first.ca}\n${second.ca.slice(0, 300)}`])
      await refused({ caFile: await put('ca', text) }, /ca: holds no certificates in PEM/);
    await refused({ caFile: join(folder, 'none') }, /none/);
  });
});
