import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  type CustomFetch,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
} from 'openid-client';
import type { Clock } from '#kernel/clock.ts';
import { logoutTokenVerifier } from './logout-token.jose.ts';
import { type IdentityProvider, type PendingSignIn, ProviderUnavailable } from './oidc.ts';
import { boundedFetch } from './oidc-fetch.openid.ts';

export interface OpenIdOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string;
  readonly acrValues: readonly string[];
  /** PEM; null: the authorities that Node knows. */
  readonly ca: Buffer | null;
  readonly redirectUri: () => string;
  readonly clock: Clock;
}

/** Signatures that we take (RFC 8725, section 3.1), whatever the provider offers beside them. Never `none`, never HMAC. */
const ALGORITHMS: readonly string[] = ['ES256', 'ES384', 'PS256', 'PS384', 'EdDSA', 'Ed25519', 'RS256'];
const TIMEOUT_SECONDS = 10;
/** The discovery document is read again after this; keys are looked for whenever one is unknown. */
const DISCOVERY_MS = 3600_000;

/**
 * The code flow with PKCE by openid-client. The ID token comes over TLS from the token endpoint; its signature is
 * checked all the same, so that a proxy that ends the TLS can't write one.
 */
export function openIdProvider(options: OpenIdOptions): IdentityProvider {
  const { clock } = options;
  let known: { readonly configuration: Promise<Configuration>; readonly until: number } | null = null;
  const configuration = (): Promise<Configuration> => {
    if (known !== null && known.until > clock.monotonic()) return known.configuration;
    const loading = configure(options).catch((cause: unknown) => {
      if (known?.configuration === loading) known = null;
      throw new ProviderUnavailable('the discovery document of the identity provider is not usable', { cause });
    });
    known = { configuration: loading, until: clock.monotonic() + DISCOVERY_MS };
    return loading;
  };
  const fetchKeys = boundedFetch({ ca: options.ca, insecure: options.issuer.startsWith('http:') });
  const logoutToken = logoutTokenVerifier({
    ...options,
    algorithms: ALGORITHMS,
    jwksUri: async () => {
      const uri = (await configuration()).serverMetadata().jwks_uri;
      if (uri === undefined) throw new ProviderUnavailable('the identity provider publishes no keys');
      return uri;
    },
    fetch: (url, { headers, method, redirect, signal }) =>
      fetchKeys(url, { body: undefined, headers: Object.fromEntries(headers), method, redirect, signal }),
  });
  return {
    logoutToken,
    authorizationUrl: async (pending) => {
      const url = buildAuthorizationUrl(await configuration(), {
        redirect_uri: options.redirectUri(),
        response_type: 'code',
        scope: options.scope,
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
        ...(options.acrValues.length > 0 ? { acr_values: options.acrValues.join(' ') } : {}),
        ...(pending.fresh ? { prompt: 'login', max_age: '0' } : {}),
      });
      return url.href;
    },
    exchange: async (parameters, pending) => {
      const current = new URL(options.redirectUri());
      current.search = parameters.toString();
      const tokens = await authorizationCodeGrant(await configuration(), current, checksOf(pending, clock)).catch(
        (error: unknown) => {
          throw unavailableIn(error) ?? error;
        },
      );
      const claims = tokens.claims();
      if (claims === undefined) throw new Error('the answer holds no ID token');
      return claims;
    },
  };
}

/** `auth_time` must lie after the moment at which the browser left. */
const checksOf = ({ state, nonce, verifier, fresh, startedAt }: PendingSignIn, clock: Clock) => ({
  expectedState: state,
  expectedNonce: nonce,
  pkceCodeVerifier: verifier,
  idTokenExpected: true,
  ...(fresh ? { maxAge: Math.ceil((clock.now() - startedAt) / 1000) } : {}),
});

/** openid-client wraps what our own transport throws. */
function unavailableIn(error: unknown): ProviderUnavailable | null {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof ProviderUnavailable) return one;
  return null;
}

async function configure(options: OpenIdOptions): Promise<Configuration> {
  const issuer = new URL(options.issuer);
  const insecure = issuer.protocol === 'http:';
  const fetch: CustomFetch = boundedFetch({ ca: options.ca, insecure });
  const found = await discovery(issuer, options.clientId, undefined, undefined, {
    [customFetch]: fetch,
    timeout: TIMEOUT_SECONDS,
    ...(insecure ? { execute: [allowInsecureRequests] } : {}),
  });
  const { supportsPKCE: _, ...server } = found.serverMetadata();
  if (!insecure && !server.authorization_endpoint?.startsWith('https://')) throw new Error('not https');
  const offered = server.id_token_signing_alg_values_supported ?? ['RS256'];
  const taken = ALGORITHMS.filter((algorithm) => offered.includes(algorithm));
  if (taken.length === 0) throw new Error('the provider signs with no algorithm that is accepted here');
  const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const authenticate = methods.includes('client_secret_basic') ? ClientSecretBasic : ClientSecretPost;
  const configuration = new Configuration(
    { ...server, id_token_signing_alg_values_supported: taken },
    options.clientId,
    undefined,
    authenticate(options.clientSecret),
  );
  configuration[customFetch] = fetch;
  configuration.timeout = TIMEOUT_SECONDS;
  if (insecure) allowInsecureRequests(configuration);
  enableNonRepudiationChecks(configuration);
  return configuration;
}
