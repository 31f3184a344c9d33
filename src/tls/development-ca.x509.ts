import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type * as X509 from '@peculiar/x509';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';

type Library = typeof X509;

export interface DevelopmentCertificate {
  /** What a client must trust. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const SERVER_DAYS = 365;
const RENEW_DAYS = 30;
const SKEW_MS = 5 * 60_000;

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** Names the certificate is for, and the only ones that the authority may ever sign for. */
const DNS_NAME = 'localhost';
const IPV4 = '127.0.0.1';
const IPV6 = '::1';

/**
 * An authority and a server certificate for this machine alone, in `${dataDir}/tls`: `ca.pem ca.key server.pem
 * server.key`, keys with mode 0600. Made on the first call; the server certificate anew when fewer than 30 days are
 * left, or when the files do not fit together. The authority stays, so that who trusts it need not do so again.
 */
export async function ensureDevelopmentCertificate(
  dataDir: string,
  deps: { readonly clock: Clock; readonly log: Log },
): Promise<DevelopmentCertificate> {
  const folder = join(dataDir, 'tls');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server.key'),
  };
  const now = deps.clock.now();

  const kept = await readAuthority(folder, now);
  if (kept !== undefined && (await isServable(files, kept, now))) return files;
  const library = await loadLibrary();
  if (kept === undefined) {
    await makeAuthority(library, folder, now);
    deps.log.info('development authority made', { file: files.caFile });
  }
  await makeServerCertificate(library, folder, now);
  deps.log.info('development server certificate made', { file: files.certFile });
  return files;
}

/** The authority, unless it is missing, does not fit its key, or would end before a certificate that it signs now. */
async function readAuthority(folder: string, now: number): Promise<X509Certificate | undefined> {
  const ca = await readCertificate(join(folder, 'ca.pem'));
  const fits = ca !== undefined && (await fitsKey(ca, join(folder, 'ca.key')));
  return fits && ca.validToDate.getTime() > now + (SERVER_DAYS + 1) * DAY_MS ? ca : undefined;
}

async function isServable(files: DevelopmentCertificate, ca: X509Certificate, now: number): Promise<boolean> {
  const server = await readCertificate(files.certFile);
  return (
    server?.checkIssued(ca) === true &&
    server.verify(ca.publicKey) &&
    server.validToDate.getTime() > now + RENEW_DAYS * DAY_MS &&
    server.validFromDate.getTime() <= now &&
    (await fitsKey(server, files.keyFile))
  );
}

async function readCertificate(path: string): Promise<X509Certificate | undefined> {
  try {
    return new X509Certificate(await readFile(path));
  } catch {
    return undefined;
  }
}

async function fitsKey(certificate: X509Certificate, keyFile: string): Promise<boolean> {
  try {
    const handle = await open(keyFile, 'r');
    try {
      const isPrivate = ((await handle.stat()).mode & 0o077) === 0;
      return isPrivate && certificate.checkPrivateKey(createPrivateKey(await handle.readFile()));
    } finally {
      await handle.close();
    }
  } catch {
    return false;
  }
}

async function makeAuthority(library: Library, folder: string, now: number): Promise<void> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await library.X509CertificateGenerator.createSelfSigned({
    // The random part tells apart the authorities of several data folders in one trust store.
    name: `CN=Strongroom development CA ${randomBytes(4).toString('hex')}`,
    serialNumber: serialNumber(),
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + CA_DAYS * DAY_MS),
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new library.BasicConstraintsExtension(true, 0, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.keyCertSign | library.KeyUsageFlags.cRLSign, true),
      new library.Extension('2.5.29.30', true, NAME_CONSTRAINTS),
      await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await writePair(folder, 'ca', certificate.toString('pem'), await exportKey(library, keys.privateKey));
}

async function makeServerCertificate(library: Library, folder: string, now: number): Promise<void> {
  const ca = new library.X509Certificate(await readFile(join(folder, 'ca.pem'), 'utf8'));
  const caKey = await importKey(library, await readFile(join(folder, 'ca.key'), 'utf8'));
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await library.X509CertificateGenerator.create({
    subject: `CN=${DNS_NAME}`,
    issuer: ca.subjectName,
    serialNumber: serialNumber(),
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + SERVER_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: caKey,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new library.BasicConstraintsExtension(false, undefined, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.digitalSignature, true),
      new library.ExtendedKeyUsageExtension([library.ExtendedKeyUsage.serverAuth]),
      new library.SubjectAlternativeNameExtension([
        { type: 'dns', value: DNS_NAME },
        { type: 'ip', value: IPV4 },
        { type: 'ip', value: IPV6 },
      ]),
      await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await library.AuthorityKeyIdentifierExtension.create(ca.publicKey),
    ],
  });
  await writePair(folder, 'server', certificate.toString('pem'), await exportKey(library, keys.privateKey));
}

/**
 * RFC 5280, section 4.2.1.10, in DER: permitted are `localhost`, 127.0.0.1/32 and ::1/128. Whoever puts this authority
 * into a trust store gives its key no power over any other name.
 */
const NAME_CONSTRAINTS = der(0x30, [
  der(0xa0, [
    der(0x30, [der(0x82, [Buffer.from(DNS_NAME)])]),
    der(0x30, [der(0x87, [Buffer.from([127, 0, 0, 1]), Buffer.alloc(4, 0xff)])]),
    der(0x30, [der(0x87, [Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 0xff)])]),
  ]),
]);

function der(tag: number, parts: readonly Buffer[]): Buffer<ArrayBuffer> {
  const body = Buffer.concat(parts);
  if (body.length > 127) throw new Error('the short form of a DER length ends at 127 bytes');
  return Buffer.concat([Buffer.from([tag, body.length]), body]);
}

/** 127 random bits: positive, and never two alike. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

async function exportKey(library: Library, key: webcrypto.CryptoKey): Promise<string> {
  return library.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function importKey(library: Library, pem: string): Promise<webcrypto.CryptoKey> {
  const [pkcs8] = library.PemConverter.decode(pem);
  if (pkcs8 === undefined) throw new Error('ca.key holds no key');
  return webcrypto.subtle.importKey('pkcs8', pkcs8, KEY, false, ['sign']);
}

/** Key first: a certificate is only ever there together with its key, and a pair torn by a crash is made anew. */
async function writePair(folder: string, name: string, certificate: string, key: string): Promise<void> {
  await writeWhole(join(folder, `${name}.key`), `${key}\n`, 0o600);
  await writeWhole(join(folder, `${name}.pem`), `${certificate}\n`, 0o644);
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const handle = await open(draft, 'wx', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * The library's container for dependencies refuses to load without the `reflect-metadata` polyfill, though it has no
 * metadata to look up: its classes take no constructor arguments. It gets empty answers while it loads and no longer.
 */
async function loadLibrary(): Promise<Library> {
  const reflect = Reflect as unknown as Record<string, unknown>;
  const asked = ['getMetadata', 'getOwnMetadata', 'defineMetadata'].filter((name) => !(name in reflect));
  for (const name of asked) reflect[name] = () => undefined;
  try {
    const library = await import('@peculiar/x509');
    library.cryptoProvider.set(webcrypto as unknown as Parameters<typeof library.cryptoProvider.set>[0]);
    return library;
  } finally {
    for (const name of asked) delete reflect[name];
  }
}
