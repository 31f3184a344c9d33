import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Clock, systemClock } from '#kernel/clock.ts';
import { type Log, silentLog } from '#kernel/log.ts';
import { type Certificate, openCertificateFiles } from '#tls/certificate.files.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';

describe('certificate files', () => {
  let folder: string;
  let certFile: string;
  let keyFile: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-certificates-'));
    certFile = join(folder, 'cert.pem');
    keyFile = join(folder, 'key.pem');
    await install(await make('first'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const make = (name: string) =>
    ensureDevelopmentCertificate(join(folder, name), { clock: systemClock, log: silentLog });

  async function install(pair: { certFile: string; keyFile: string }) {
    await copyFile(pair.keyFile, keyFile);
    await chmod(keyFile, 0o600);
    await copyFile(pair.certFile, certFile);
  }

  async function open({ clock = systemClock, intervalMs = 3_600_000 }: { clock?: Clock; intervalMs?: number } = {}) {
    const changes: Certificate[] = [];
    let errors = 0;
    const log: Log = { ...silentLog, error: () => errors++ };
    const files = await openCertificateFiles({
      certFile,
      keyFile,
      clock,
      log,
      intervalMs,
      onChange: (next) => changes.push(next),
    });
    return { files, changes, errors: () => errors, [Symbol.dispose]: () => files.close() };
  }

  it('refuses a key that group or others may read', async () => {
    for (const mode of [0o640, 0o604, 0o620, 0o644]) {
      await chmod(keyFile, mode);
      await assert.rejects(open(), /can be read by others \(mode 6\d\d\); set it to 600/);
    }
    await chmod(keyFile, 0o400);
    using _opened = await open();
  });

  it('refuses a key of another certificate, and an expired certificate', async () => {
    await copyFile((await make('second')).keyFile, keyFile);
    await assert.rejects(open());
    await install(await make('first'));
    const clock = { ...systemClock, now: () => Date.now() + 400 * 86_400_000 };
    await assert.rejects(open({ clock }), /expired on/);
  });

  it('hands over a replacement, once', async () => {
    using opened = await open();
    const { files, changes } = opened;
    const first = files.current.fingerprint;
    assert.equal(await files.check(), false);
    await install(await make('second'));
    assert.equal(await files.check(), true);
    assert.equal(await files.check(), false);
    assert.equal(changes.length, 1);
    assert.notEqual(files.current.fingerprint, first);
    assert.equal(files.current, changes[0]);
  });

  it('sees a replacement by itself', async () => {
    using opened = await open({ intervalMs: 20 });
    await install(await make('second'));
    const deadline = Date.now() + 5000;
    while (opened.changes.length === 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(opened.changes.length, 1);
  });

  it('does not call a touched file a replacement', async () => {
    using opened = await open();
    await utimes(certFile, new Date(), new Date());
    assert.equal(await opened.files.check(), false);
  });

  it('keeps the old one and says so once while the replacement is broken, and takes it when it is whole', async () => {
    using opened = await open();
    const { files, changes, errors } = opened;
    const first = files.current.fingerprint;
    const second = await make('second');
    for (const spoil of [
      () => writeFile(certFile, 'not a certificate'),
      () => copyFile(second.certFile, certFile),
      () => rm(certFile),
      () => chmod(keyFile, 0o644),
    ]) {
      const before = errors();
      await spoil();
      assert.equal(await files.check(), false);
      assert.equal(await files.check(), false);
      assert.equal(errors(), before + 1);
      assert.equal(files.current.fingerprint, first);
    }
    await install(second);
    assert.equal(await files.check(), true);
    assert.equal(changes.length, 1);
  });

  it('survives a callback that throws', async () => {
    using files = await openCertificateFiles({
      certFile,
      keyFile,
      clock: systemClock,
      log: silentLog,
      onChange: () => {
        throw new Error('the server is closing');
      },
    });
    await install(await make('second'));
    assert.equal(await files.check(), false);
  });
});
