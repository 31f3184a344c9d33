import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Recorder } from '#audit/recorder.ts';
import type { OidcConfig } from '#config/identity.ts';
import type { Config } from '#config/schema.ts';
import type { Route } from '#http/route.ts';
import type { AccountStore, Sealer, Totp } from '#identity/identity.ts';
import { postgresFederatedAccounts } from '#identity/oidc.postgres.ts';
import { methodsRoute, oidcRoutes } from '#identity/oidc.routes.ts';
import { FederatedSignIn } from '#identity/oidc.service.ts';
import { ProviderLogout } from '#identity/provider-logout.service.ts';
import { type KeyRegistry, missingKey } from '#identity/seal.ts';
import { type TokenPort, tokenRoutes } from '#identity/token.routes.ts';
import { makeFirstTokenKey, openTokenKeys, readTokenKeys } from '#identity/token-keys.files.ts';
import type { GuessLimiter, UserStore } from '#identity/users.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import type { Principal } from '#kernel/principal.ts';
import type { Queryable } from '#postgres/pool.ts';
import { orUnavailable } from './gateway-database.ts';

export interface FederationOptions {
  readonly config: Config;
  readonly base: string;
  readonly dataDir: string;
  readonly embedded: boolean;
  readonly pool: Queryable;
  readonly recorder: Recorder;
  readonly store: AccountStore;
  readonly users: UserStore;
  readonly sealer: Sealer;
  readonly totp: Totp;
  readonly guesses: GuessLimiter;
  readonly registry: KeyRegistry;
  /** Enters the first key of a purpose into the database, on the record. */
  readonly registerKey: (purpose: 'seal' | 'token', name: string) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** Where browsers find us, without a slash at the end. */
  readonly publicUrl: () => string;
}

export interface Federation {
  readonly routes: Route[];
  isFresh(principal: Principal): Promise<boolean>;
}

/** Sign-in by the house's identity provider, where one is configured. Without one its library is not even loaded. */
export async function openFederation(options: FederationOptions): Promise<Federation> {
  const { config, pool } = options;
  const { oidc, localAccounts } = config.identity;
  const methods = methodsRoute({ local_accounts: localAccounts, oidc: oidc !== undefined });
  if (oidc === undefined) return { routes: [methods], isFresh: async () => false };
  const provider = await openProvider(oidc, options);
  const accounts = orUnavailable(postgresFederatedAccounts(pool));
  const federation = new FederatedSignIn({
    ...options,
    provider,
    mapping: oidc,
    accounts,
  });
  const logout = new ProviderLogout({ ...options, provider, accounts });
  return { routes: [methods, ...oidcRoutes(federation, logout)], isFresh: federation.isFresh.bind(federation) };
}

async function openProvider(oidc: OidcConfig, { base, clock, publicUrl }: FederationOptions) {
  const { openIdProvider } = await import('#identity/oidc.openid.ts');
  const { issuer, clientId, scope, acrValues } = oidc;
  return openIdProvider({
    issuer,
    clientId,
    clientSecret: (await readFile(resolve(base, oidc.clientSecretFile), 'utf8')).trim(),
    scope,
    acrValues,
    ca: oidc.caFile === undefined ? null : await readFile(resolve(base, oidc.caFile)),
    redirectUri: () => `${publicUrl()}/auth/oidc/callback`,
    clock,
  });
}

/** Where the keys of tokens lie. */
export const tokenFolder = ({ keys, dataDir }: Config, base: string): string =>
  keys.tokenDir === undefined ? join(resolve(base, dataDir), 'keys') : resolve(base, keys.tokenDir);

/** Tokens for the services that the configuration names; without any no key is made and nothing is loaded. */
export async function openTokens(
  { config, base, embedded, clock, log, publicUrl, registry, registerKey }: FederationOptions,
  confirm: TokenPort['confirm'],
): Promise<Route[]> {
  const { audiences } = config.identity.tokens;
  if (audiences.length === 0) return [];
  const folder = tokenFolder(config, base);
  if (embedded && config.keys.tokenDir === undefined) await makeFirstTokenKey(folder, clock.now());
  await checkTokenKeys(folder, registry, registerKey);
  const { joseIssuer } = await import('#identity/token.jose.ts');
  const keys = await openTokenKeys(folder, clock, log);
  return tokenRoutes({ ...joseIssuer({ keys, issuer: publicUrl, clock }), audiences, confirm });
}

/** @throws Error unless the folder holds the key that the database knows; the first one is entered there. */
async function checkTokenKeys(
  folder: string,
  registry: KeyRegistry,
  register: FederationOptions['registerKey'],
): Promise<void> {
  const [newest, ...others] = await readTokenKeys(folder);
  if (newest === undefined) return;
  const known = await registry.known('token');
  if (known.length === 0) await register('token', newest.jwk.kid);
  else {
    const missing = missingKey(
      [newest, ...others].map(({ jwk }) => jwk.kid),
      known,
    );
    if (missing !== null) throw new Error(`${folder}: ${missing}`);
  }
}
