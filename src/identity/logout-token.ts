import type { Claims } from './oidc.ts';

/** A logout token that was found good (OpenID Connect Back-Channel Logout 1.0, section 2.4). */
export interface LogoutToken {
  readonly issuer: string;
  /** Whose sessions end; null: that of `sid` alone. */
  readonly subject: string | null;
  /** The one session of the provider's that ends; null: all of `subject`. */
  readonly sid: string | null;
  /** Issuer and `jti`: it counts once. */
  readonly id: string;
}

/** Seconds since the provider wrote it. Longer, and somebody has kept it. */
export const LOGOUT_TOKEN_SECONDS = 120;

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/**
 * What section 2.6 asks beyond signature, issuer, audience, type and times: an event, a user or a session, an id, and no
 * nonce, so that no ID token passes for one. Null where it is no logout token.
 */
export function logoutTokenOf(claims: Claims): LogoutToken | null {
  const { iss, sub, sid, jti, events } = claims;
  if ('nonce' in claims || typeof iss !== 'string' || !isName(jti)) return null;
  if (typeof events !== 'object' || events === null || !Object.hasOwn(events, EVENT)) return null;
  const event = (events as Claims)[EVENT];
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return null;
  if ((sub !== undefined && !isName(sub)) || (sid !== undefined && !isName(sid))) return null;
  if (sub === undefined && sid === undefined) return null;
  return { issuer: iss, subject: sub ?? null, sid: sid ?? null, id: `${iss} ${jti}` };
}

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 255;
