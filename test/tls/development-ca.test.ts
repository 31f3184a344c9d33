import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';

const DAY = 86_400_000;
/** Other files that share this process may have brought the whole polyfill. */
const BEFORE = Reflect.ownKeys(Reflect);
const NOW = Date.UTC(2026, 10, 21);

describe('the development authority', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'strongroom-tls-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const ensure = (now = NOW) =>
    ensureDevelopmentCertificate(dataDir, { clock: { now: () => now, monotonic: () => 0 }, log: silentLog });

  async function read() {
    const { caFile, certFile } = await ensure();
    return { ca: new X509Certificate(await readFile(caFile)), server: new X509Certificate(await readFile(certFile)) };
  }

  it('signs a server certificate for this machine and no other name', async () => {
    const { ca, server } = await read();
    assert.equal(ca.ca, true);
    assert.ok(server.checkIssued(ca) && server.verify(ca.publicKey) && !server.ca);
    assert.deepEqual(
      [server.publicKey.asymmetricKeyDetails?.namedCurve, ca.publicKey.asymmetricKeyDetails?.namedCurve],
      ['prime256v1', 'prime256v1'],
    );
    assert.equal(server.checkHost('localhost'), 'localhost');
    assert.equal(server.checkIP('127.0.0.1'), '127.0.0.1');
    assert.ok(server.checkIP('::1'));
    assert.equal(server.checkHost('bank.example'), undefined);
    assert.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    assert.equal(Math.round((server.validToDate.getTime() - NOW) / DAY), 365);
    assert.equal(Math.round((ca.validToDate.getTime() - NOW) / DAY), 3650);
  });

  it('keeps its keys to itself', async () => {
    await ensure();
    for (const name of ['ca.key', 'server.key']) {
      assert.equal((await stat(join(dataDir, 'tls', name))).mode & 0o777, 0o600, name);
    }
    assert.equal((await stat(join(dataDir, 'tls'))).mode & 0o777, 0o700);
  });

  it('changes nothing while more than 30 days are left, then renews under the same authority', async () => {
    const first = await read();
    await ensure(NOW + 334 * DAY);
    const same = await read();
    assert.equal(same.server.fingerprint256, first.server.fingerprint256);
    await ensure(NOW + 336 * DAY);
    const { certFile, caFile } = await ensure(NOW + 336 * DAY);
    assert.notEqual(new X509Certificate(await readFile(certFile)).fingerprint256, first.server.fingerprint256);
    assert.equal(new X509Certificate(await readFile(caFile)).fingerprint256, first.ca.fingerprint256);
  });

  it('is replaced before a certificate could outlive it', async () => {
    const { ca } = await read();
    const { caFile, certFile } = await ensure(NOW + 3300 * DAY);
    const next = new X509Certificate(await readFile(caFile));
    assert.notEqual(next.fingerprint256, ca.fingerprint256);
    assert.ok(new X509Certificate(await readFile(certFile)).checkIssued(next));
  });

  for (const [fault, spoil] of [
    ['a torn certificate', (folder: string) => writeFile(join(folder, 'server.pem'), 'torn')],
    [
      'a key of another pair',
      async (folder: string) => writeFile(join(folder, 'server.key'), await readFile(join(folder, 'ca.key'))),
    ],
    ['a missing key', (folder: string) => rm(join(folder, 'server.key'))],
    ['a key that others could read', (folder: string) => chmod(join(folder, 'server.key'), 0o644)],
    ['a missing authority', (folder: string) => rm(join(folder, 'ca.key'))],
  ] as const) {
    it(`mends ${fault}`, async () => {
      const before = await read();
      await spoil(join(dataDir, 'tls'));
      const { ca, server } = await read();
      assert.notEqual(server.fingerprint256, before.server.fingerprint256);
      assert.ok(server.verify(ca.publicKey));
      assert.equal((await stat(join(dataDir, 'tls/server.key'))).mode & 0o777, 0o600);
    });
  }

  it('leaves no trace of the polyfill that its library asks for', async () => {
    await ensure();
    assert.deepEqual(Reflect.ownKeys(Reflect), BEFORE);
  });
});
