import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { type Finding, fail, ok, warn } from './finding.ts';

export interface CertificateFacts {
  readonly file: string;
  /** PEM: the server's own first, then those that it needs. */
  readonly chain: string;
  /** PEM; null where it can't be read. */
  readonly key: string | null;
  /** Name that browsers use. */
  readonly host: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const DAY_MS = 86_400_000;
const SOON_DAYS = 30;

export function judgeCertificate({ file, chain, key, host, now }: CertificateFacts): Finding[] {
  let certificates: X509Certificate[];
  try {
    certificates = (chain.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(
      (pem) => new X509Certificate(pem),
    );
  } catch {
    certificates = [];
  }
  const [leaf] = certificates;
  if (leaf === undefined) return [fail('tls', `${file} holds no certificate`, 'give a PEM chain in tls.certFile')];
  return [judgeDates(certificates, now), judgeChain(certificates, host), judgeKey(chain, key)];
}

/** The first of them to expire decides. */
function judgeDates(certificates: readonly X509Certificate[], now: number): Finding {
  const from = Math.max(...certificates.map(({ validFromDate }) => validFromDate.getTime()));
  const to = Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()));
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  if (to <= now) return fail('tls dates', `expired on ${day(to)}`, 'renew it; the files are taken up while it runs');
  if (from > now) return fail('tls dates', `valid from ${day(from)} only`, 'set the clock, or wait for that day');
  const left = Math.floor((to - now) / DAY_MS);
  if (left < SOON_DAYS)
    return warn(
      'tls dates',
      `expires on ${day(to)}, in ${left} days`,
      'renew it; the files are taken up while it runs',
    );
  return ok('tls dates', `valid until ${day(to)}`);
}

function judgeChain(certificates: readonly X509Certificate[], host: string): Finding {
  const [leaf] = certificates as [X509Certificate];
  const broken = certificates.findIndex((one, at) => {
    const next = certificates[at + 1];
    return next !== undefined && !(one.checkIssued(next) && one.verify(next.publicKey));
  });
  if (broken >= 0)
    return fail(
      'tls chain',
      `certificate ${broken + 2} did not issue certificate ${broken + 1}`,
      'put the server’s own first, and each time the one that issued it behind it',
    );
  const isAddress = /^[\d.]+$|:/.test(host);
  if ((isAddress ? leaf.checkIP(host) : leaf.checkHost(host)) === undefined)
    return fail('tls chain', `the certificate is not for ${host}`, 'have that name put into it, or set http.publicUrl');
  const issuer = (certificates.at(-1) as X509Certificate).issuer.split('\n').join(', ');
  return ok('tls chain', `${certificates.length} for ${host}, issued by ${issuer}`);
}

function judgeKey(cert: string, key: string | null): Finding {
  if (key === null) return fail('tls key', 'can not be read', 'give the key of that certificate in tls.keyFile');
  try {
    createSecureContext({ cert, key });
    return ok('tls key', 'belongs to the certificate');
  } catch {
    return fail('tls key', 'does not belong to the certificate', 'give the key of that certificate in tls.keyFile');
  }
}
