import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { ensureDevelopmentCertificate } from '#tls/development-ca.x509.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

interface Meeting {
  readonly protocol: string | null;
  readonly cipher: string;
  readonly group: string | undefined;
  readonly reused: boolean;
  readonly tickets: number;
  readonly session: Buffer | undefined;
}

describe('promise 7: TLS 1.3 only, with these groups and suites, without tickets and resumption', () => {
  let dataDir: string;
  let server: ChildProcess;
  let port: number;
  let ca: Buffer;

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'strongroom-promise7-'));
    const files = await ensureDevelopmentCertificate(dataDir, { clock: systemClock, log: silentLog });
    ca = await readFile(files.caFile);
    const program = ['src/strongroom.mjs', '--node', 'test/harness/tls-echo.ts', files.certFile, files.keyFile];
    const child = spawn(process.execPath, program, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
    server = child;
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    port = Number(line.toString());
  });
  after(async () => {
    server.stdin?.end();
    await once(server, 'exit');
    await rm(dataDir, { recursive: true, force: true });
  });

  /** One whole handshake, held open for long enough that tickets sent after it arrive. */
  function meet(options: ConnectionOptions = {}): Promise<Meeting> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, ...options });
      let tickets = 0;
      let session: Buffer | undefined;
      socket.once('error', reject);
      socket.on('session', (data: Buffer) => {
        tickets++;
        session = data;
      });
      socket.once('data', (byte) => {
        setTimeout(() => {
          const key = socket.getEphemeralKeyInfo();
          resolve({
            protocol: socket.getProtocol(),
            cipher: socket.getCipher().name,
            group: key !== null && 'name' in key ? key.name : undefined,
            reused: byte.toString() === 'R' || socket.isSessionReused(),
            tickets,
            session,
          });
          socket.destroy();
        }, 50);
      });
    });
  }

  it('serves a client of today with the hybrid group', async () => {
    const { protocol, cipher, group } = await meet();
    assert.deepEqual(
      { protocol, cipher, group },
      { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', group: 'X25519MLKEM768' },
    );
  });

  it('refuses TLS 1.2 and older', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.1', 'TLSv1'] as const) {
      await assert.rejects(
        meet({ minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' }),
        /protocol version|no protocols/i,
        maxVersion,
      );
    }
  });

  it('serves a client that has P-256 alone', async () => {
    assert.equal((await meet({ ecdhCurve: 'P-256' })).group, 'prime256v1');
  });

  it('insists on its own order of groups, whatever the client prefers and whatever key share it sends first', async () => {
    assert.equal((await meet({ ecdhCurve: 'P-256:X25519MLKEM768' })).group, 'X25519MLKEM768');
    assert.equal((await meet({ ecdhCurve: 'P-256:SecP256r1MLKEM768' })).group, 'SecP256r1MLKEM768');
    assert.equal((await meet({ ecdhCurve: 'X25519:P-384:SecP256r1MLKEM768:X25519MLKEM768' })).group, 'X25519MLKEM768');
  });

  it('refuses every other group', async () => {
    for (const ecdhCurve of [
      'X25519',
      'X448',
      'P-384',
      'P-521',
      'ffdhe2048',
      'SecP384r1MLKEM1024',
      'X25519:P-384:P-521',
    ]) {
      await assert.rejects(meet({ ecdhCurve }), /handshake failure/, ecdhCurve);
    }
  });

  it('knows two suites, in its own order', async () => {
    for (const cipher of ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
      assert.equal((await meet({ ciphers: cipher })).cipher, cipher);
    }
    const reversed = 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';
    assert.equal((await meet({ ciphers: reversed })).cipher, 'TLS_AES_256_GCM_SHA384');
    for (const ciphers of [
      'TLS_AES_128_GCM_SHA256',
      'TLS_AES_128_CCM_SHA256',
      'TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256',
    ]) {
      await assert.rejects(meet({ ciphers }), /handshake failure/, ciphers);
    }
  });

  it('sends no session ticket, so there is nothing to resume and no early data', async () => {
    const { tickets, session, reused } = await meet();
    assert.deepEqual({ tickets, session, reused }, { tickets: 0, session: undefined, reused: false });
  });

  it('would not resume a session even if OpenSSL sent tickets', async () => {
    // The same server without the launcher's OpenSSL profile: tickets are sent then, and are worth nothing.
    const { certFile, keyFile } = await ensureDevelopmentCertificate(dataDir, { clock: systemClock, log: silentLog });
    const bare = spawn(process.execPath, ['test/harness/tls-echo.ts', certFile, keyFile], {
      cwd: ROOT,
      env: {},
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      const [line] = (await once(bare.stdout, 'data')) as [Buffer];
      const there = { port: Number(line.toString()) };
      const first = await meet(there);
      assert.ok(first.session !== undefined, 'a ticket to try');
      assert.equal((await meet({ ...there, session: first.session })).reused, false);
    } finally {
      bare.stdin.end();
      await once(bare, 'exit');
    }
  });
});
