import { X509Certificate } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { TLS_OPTIONS } from './tls-options.ts';

/** A certificate chain and its key, checked to work together. For `server.setSecureContext({...TLS_OPTIONS, ...})`. */
export interface Certificate {
  /** PEM, the server's own certificate first. */
  readonly cert: Buffer;
  /** PEM. */
  readonly key: Buffer;
  /** SHA-256 of the server's certificate, as OpenSSL prints it. */
  readonly fingerprint: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface CertificateFilesOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How often the files are looked at, in milliseconds. Default 5,000. */
  readonly intervalMs?: number;
  /** Called with every replacement that passed its checks; not with the first certificate. */
  readonly onChange: (certificate: Certificate) => void;
}

export interface CertificateFiles extends Disposable {
  /** The newest certificate that passed its checks. */
  readonly current: Certificate;
  /** Looks now instead of at the next interval. Resolves with whether another certificate is in use. Never rejects. */
  check(): Promise<boolean>;
  close(): void;
}

/**
 * Reads a certificate and its key and watches them for replacement, so that keys rotate without a restart. By polling:
 * notifications miss the renamed folder links by which secrets are mounted. A replacement that is broken is logged once
 * and the old certificate kept.
 *
 * @throws Error when the first pair is missing, unreadable, mismatched or expired, or when others may read the key.
 */
export async function openCertificateFiles(options: CertificateFilesOptions): Promise<CertificateFiles> {
  const { log, certFile, onChange } = options;
  let seen = await signatureOf(options);
  let current = await readPair(options);
  let checking: Promise<boolean> | undefined;

  const look = async (): Promise<boolean> => {
    const signature = await signatureOf(options);
    if (signature === seen) return false;
    // Noted before reading: what changes meanwhile shows as another change at the next look, and what is broken is
    // not tried, nor logged, until it changes again.
    seen = signature;
    try {
      const next = await readPair(options);
      if (next.fingerprint === current.fingerprint && next.key.equals(current.key)) return false;
      current = next;
    } catch (error) {
      log.error('the new TLS certificate is not usable; the old one stays', { file: certFile, error });
      return false;
    }
    log.info('TLS certificate replaced', { file: certFile });
    onChange(current);
    return true;
  };
  const check = (): Promise<boolean> => {
    checking ??= look()
      .catch((error: unknown) => {
        log.error('the TLS certificate could not be replaced', { file: certFile, error });
        return false;
      })
      .finally(() => {
        checking = undefined;
      });
    return checking;
  };
  const timer = setInterval(() => void check(), options.intervalMs ?? 5000);
  timer.unref();
  const close = () => clearInterval(timer);
  return {
    get current() {
      return current;
    },
    check,
    close,
    [Symbol.dispose]: close,
  };
}

/** Changes whenever one of the files is written or replaced, behind links too. */
async function signatureOf({ certFile, keyFile }: CertificateFilesOptions): Promise<string> {
  const parts = await Promise.all(
    [certFile, keyFile].map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined);
      return found === undefined ? 'missing' : [found.dev, found.ino, found.size, found.mtimeNs, found.mode].join(':');
    }),
  );
  return parts.join(' ');
}

async function readPair({ certFile, keyFile, clock }: CertificateFilesOptions): Promise<Certificate> {
  const cert = await readWhole(certFile);
  const key = await readWhole(keyFile, requirePrivate);
  const leaf = new X509Certificate(cert);
  // Throws when the key belongs to another certificate, and for anything else that OpenSSL would refuse later.
  createSecureContext({ ...TLS_OPTIONS, cert, key });
  const expiresAt = leaf.validToDate.getTime();
  if (expiresAt <= clock.now()) throw new Error(`${certFile} expired on ${leaf.validToDate.toISOString()}`);
  return { cert, key, fingerprint: leaf.fingerprint256, expiresAt };
}

async function readWhole(path: string, examine?: (path: string, mode: number) => void): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    // Asked of the open file, so that what was examined is what is read.
    examine?.(path, (await handle.stat()).mode);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function requirePrivate(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  throw new Error(`${path} can be read by others (mode ${(mode & 0o777).toString(8)}); set it to 600`);
}
