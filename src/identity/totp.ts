/** What an authenticator computes with (RFC 6238, section 1.2). SHA-1 and six digits are what every app knows. */
export interface TotpKind {
  readonly algorithm: 'sha1' | 'sha256';
  readonly digits: 6 | 8;
}

export interface TotpSecret extends TotpKind {
  /** Base32 (RFC 4648) without padding. */
  readonly secret: string;
}

export const EVERY_APP: TotpKind = { algorithm: 'sha1', digits: 6 };

/** What is sealed: the secret with its own parameters, so that a change of the configuration breaks no older one. */
export const formatTotp = ({ algorithm, digits, secret }: TotpSecret): string => `${algorithm} ${digits} ${secret}`;

/** A bare secret is one of {@link EVERY_APP}. */
export function parseTotp(text: string): TotpSecret {
  const [, algorithm, digits, secret = ''] = /^(sha1|sha256) ([68]) ([A-Z2-7]+)$/.exec(text) ?? [];
  if (algorithm === undefined) return { ...EVERY_APP, secret: text };
  return { algorithm: algorithm === 'sha256' ? 'sha256' : 'sha1', digits: digits === '8' ? 8 : 6, secret };
}
