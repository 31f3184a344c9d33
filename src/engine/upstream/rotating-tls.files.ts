import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Rotating, UpstreamTls } from '#engine/model-spec.ts';
import type { Log } from '#kernel/log.ts';
import { openRotating } from './rotating.files.ts';

export interface TlsFiles {
  readonly caFile?: string | undefined;
  /** Both, or neither. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/**
 * Whom we trust and who we are towards servers, read again whenever one of the files has changed.
 *
 * @throws Error when a file can't be read, holds no certificate, or certificate and key do not belong together
 */
export const openTlsFiles = ({ caFile, certFile, keyFile }: TlsFiles, log: Log): Promise<Rotating<UpstreamTls>> =>
  openRotating({
    files: [caFile, certFile, keyFile].filter((file) => file !== undefined),
    read: async () => ({
      ...(caFile === undefined ? {} : { ca: await readCertificates(caFile) }),
      ...(certFile === undefined || keyFile === undefined ? {} : await readPair(certFile, keyFile)),
    }),
    isSame: (one, other) => one.ca === other.ca && one.cert === other.cert && one.key === other.key,
    what: 'the certificates for a model server',
    log,
  });

async function readPair(certFile: string, keyFile: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [await readCertificates(certFile), await readFile(keyFile, 'utf8')];
  if (!belongs(cert, key)) throw new Error(`${keyFile}: is not the key of ${certFile}`);
  return { cert, key };
}

function belongs(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // OpenSSL's words may quote what it could not read.
    return false;
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Each is looked at: of a file that ends half-way OpenSSL takes what it can, and nobody is told. */
async function readCertificates(file: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  const found = text.match(CERTIFICATE) ?? [];
  const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1;
  try {
    if (found.length > 0 && found.length === begun && found.every((pem) => new X509Certificate(pem))) return text;
  } catch {}
  throw new Error(`${file}: holds no certificates in PEM`);
}
