import type { Principal } from '#kernel/principal.ts';

/** Seconds a token for an outside service holds. There is no taking it back, so it is short. */
export const TOKEN_SECONDS = 300;
/** A new key signs nothing before every replica has had time to publish it. */
export const LEAD_MS = 10_000;
/** A retired key is published for as long as tokens and other people's caches may need it. */
export const OVERLAP_MS = 3600_000;

/** Public half of an EC key (RFC 7517); `kid` is its RFC 7638 thumbprint. */
export interface PublicJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly kid: string;
  readonly alg: 'ES256';
  readonly use: 'sig';
}

/** A key as its file holds it. */
export interface TokenKey {
  readonly jwk: PublicJwk;
  /** The private scalar; null once the key is retired. */
  readonly d: string | null;
  /** Milliseconds since the epoch. */
  readonly madeAt: number;
  readonly retiredAt: number | null;
}

/** The keys in force, newest first. */
export interface TokenKeys {
  current(): Promise<readonly TokenKey[]>;
}

/** Makes tokens for outside services and publishes what they are checked with. */
export interface TokenIssuer {
  mint(principal: Principal, audience: string): Promise<{ readonly token: string; readonly id: string }>;
  publicKeys(): Promise<readonly PublicJwk[]>;
}

/** Claims of an RFC 9068 access token. Times are in seconds. */
export function accessTokenClaims(options: {
  readonly issuer: string;
  readonly audience: string;
  readonly principal: Principal;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}): Readonly<Record<string, string | number | readonly string[]>> {
  const { issuer, audience, principal, id, now } = options;
  const iat = Math.floor(now / 1000);
  const { kind, ref } = principal.credential;
  return {
    iss: issuer,
    sub: principal.subject,
    aud: audience,
    iat,
    exp: iat + TOKEN_SECONDS,
    jti: id,
    // Who asked: the public id of an API key, or we ourselves for somebody who has signed in. Never a session's hash.
    client_id: kind === 'api_key' ? ref : 'strongroom',
    roles: principal.roles,
  };
}

/**
 * The key to sign with: the newest that every replica has had time to publish, else the one that signed so far (`held`;
 * its file may have lost the private half meanwhile), else the newest there is.
 */
export function signingKey(keys: readonly TokenKey[], held: TokenKey | null, now: number): TokenKey | null {
  const able = keys.filter(({ d }) => d !== null).toSorted((a, b) => b.madeAt - a.madeAt);
  const ready = able.find(({ madeAt }) => madeAt + LEAD_MS <= now);
  // One whose file is gone altogether was taken out of service: it signs nothing any more.
  const kept = held !== null && keys.some(({ jwk }) => jwk.kid === held.jwk.kid) ? held : null;
  return ready ?? kept ?? able[0] ?? null;
}

export const isPublished = ({ retiredAt }: TokenKey, now: number): boolean =>
  retiredAt === null || retiredAt + OVERLAP_MS > now;
