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
  const token = sessionCookie(cookie);
  return token === null ? null : { kind: 'session', secret: token };
}

function credentialOf(secret: string | undefined): PresentedCredential {
  if (secret?.startsWith(API_KEY_PREFIX)) return { kind: 'api_key', secret };
  if (secret?.startsWith(SESSION_TOKEN_PREFIX)) return { kind: 'session', secret };
  throw new Problem('unauthenticated', {
    headers: { 'WWW-Authenticate': 'Bearer realm="strongroom", error="invalid_token"' },
  });
}

function sessionCookie(header: string | undefined): string | null {
  for (const pair of header?.split(';') ?? []) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === SESSION_COOKIE && value?.startsWith(SESSION_TOKEN_PREFIX)) return value;
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
