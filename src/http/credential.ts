import type { IncomingMessage } from 'node:http';
import type { PresentedCredential } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';

export const SESSION_COOKIE = '__Host-strongroom';
export const SESSION_TOKEN_PREFIX = 'srs_';
export const API_KEY_PREFIX = 'srk_';

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * The one credential of a request: `Authorization: Bearer` (RFC 6750), `x-api-key`, or the session cookie.
 * A header that is there but useless is never passed over in favour of a cookie.
 */
export function presentedCredential(request: IncomingMessage): PresentedCredential | null {
  const { authorization, cookie } = request.headers;
  const apiKey = request.headers['x-api-key'];
  if (authorization !== undefined) {
    const [, secret] = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(authorization) ?? [];
    return credentialOf(secret);
  }
  if (typeof apiKey === 'string') return credentialOf(apiKey);
  const token = cookieValue(cookie, SESSION_COOKIE);
  return token?.startsWith(SESSION_TOKEN_PREFIX) ? { kind: 'session', secret: token } : null;
}

/** The session token of a request that shows no other credential than the cookie: a browser's. */
export function cookieToken(headers: Readonly<Record<string, string | string[] | undefined>>): string | null {
  if (headers['authorization'] !== undefined || headers['x-api-key'] !== undefined) return null;
  return cookieValue(headers['cookie'], SESSION_COOKIE);
}

function credentialOf(secret: string | undefined): PresentedCredential {
  if (secret?.startsWith(API_KEY_PREFIX)) return { kind: 'api_key', secret };
  if (secret?.startsWith(SESSION_TOKEN_PREFIX)) return { kind: 'session', secret };
  throw new Problem('unauthenticated', {
    headers: { 'WWW-Authenticate': 'Bearer realm="strongroom", error="invalid_token"' },
  });
}

/** The value of one cookie (RFC 6265, section 4.2); the first where a name stands twice. */
export function cookieValue(header: string | string[] | undefined, wanted: string): string | null {
  for (const pair of typeof header === 'string' ? header.split(';') : []) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === wanted) return pair.slice(at + 1).trim();
  }
  return null;
}

/**
 * Requests that change something and come with a cookie must come from our own pages: a browser says so in
 * `Sec-Fetch-Site`, or at least in `Origin`. Public routes are checked too (sign-in by a foreign page is an attack).
 *
 * @throws Problem `cross_origin`
 */
export function refuseCrossOrigin(
  request: IncomingMessage,
  isOwnOrigin: (origin: string, host: string) => boolean,
): void {
  if (SAFE_METHODS.has(request.method ?? '')) return;
  const site = request.headers['sec-fetch-site'];
  const { origin, host } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw new Problem('cross_origin');
  if (origin !== undefined && !isOwnOrigin(origin, host ?? '')) throw new Problem('cross_origin');
}
