import { createRemoteJWKSet, customFetch, errors, type FetchImplementation, jwtVerify } from 'jose';
import type { Clock } from '#kernel/clock.ts';
import { LOGOUT_TOKEN_SECONDS, type LogoutToken, logoutTokenOf } from './logout-token.ts';
import { ProviderUnavailable } from './oidc.ts';

export interface LogoutTokenOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly algorithms: readonly string[];
  /** Where the provider publishes its keys, from its discovery document. */
  readonly jwksUri: () => Promise<string>;
  readonly fetch: FetchImplementation;
  readonly clock: Clock;
}

const CLOCK_SKEW_SECONDS = 30;
const TIMEOUT_MS = 10_000;

/**
 * Checks logout tokens by jose: signature by the provider's own keys and one of our algorithms, issuer, audience, type,
 * times, and then what only a logout token has.
 *
 * @returns null for anything that is none. @throws ProviderUnavailable when its keys can't be had
 */
export function logoutTokenVerifier(options: LogoutTokenOptions): (token: string) => Promise<LogoutToken | null> {
  let known: { readonly uri: string; readonly keys: ReturnType<typeof createRemoteJWKSet> } | null = null;
  const keysAt = (uri: string) => {
    if (known?.uri !== uri) {
      const keys = createRemoteJWKSet(new URL(uri), { [customFetch]: options.fetch, timeoutDuration: TIMEOUT_MS });
      known = { uri, keys };
    }
    return known.keys;
  };
  return async (token) => {
    const uri = await options.jwksUri();
    try {
      const { payload } = await jwtVerify(token, keysAt(uri), {
        issuer: options.issuer,
        audience: options.clientId,
        algorithms: [...options.algorithms],
        typ: 'logout+jwt',
        requiredClaims: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
        maxTokenAge: LOGOUT_TOKEN_SECONDS,
        clockTolerance: CLOCK_SKEW_SECONDS,
        currentDate: new Date(options.clock.now()),
      });
      return logoutTokenOf(payload);
    } catch (error) {
      if (error instanceof ProviderUnavailable || error instanceof errors.JWKSTimeout)
        throw new ProviderUnavailable('the keys of the identity provider can’t be had', { cause: error });
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  };
}
