import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Recorder } from '#audit/recorder.ts';
import type { Config } from '#config/schema.ts';
import type { Route } from '#http/route.ts';
import { adminKeyRoutes } from '#identity/admin-keys.routes.ts';
import { AdminKeys } from '#identity/admin-keys.service.ts';
import { factorRoutes } from '#identity/factors.routes.ts';
import { forgetFirstRun } from '#identity/first-run.files.ts';
import { makeFirstAccounts } from '#identity/first-run.service.ts';
import type { FirstRunAccount } from '#identity/first-run.ts';
import { postgresAccounts } from '#identity/identity.postgres.ts';
import { identityRoutes } from '#identity/identity.routes.ts';
import { Identity } from '#identity/identity.service.ts';
import { keyRoutes } from '#identity/keys.routes.ts';
import { OwnAccount } from '#identity/own-account.service.ts';
import { passkeyConfirmRoutes, passkeySignInRoutes } from '#identity/passkey-sign-in.routes.ts';
import { PasskeySignIn } from '#identity/passkey-sign-in.service.ts';
import { passkeyRoutes } from '#identity/passkeys.routes.ts';
import { Passkeys } from '#identity/passkeys.service.ts';
import { argon2Hasher } from '#identity/password.argon2.ts';
import { maxAgeDays, type PasswordRules, parseBlocklist } from '#identity/password-policy.ts';
import { Principals } from '#identity/principals.service.ts';
import { newTotpSecret, otplibTotp, totpUri } from '#identity/totp.otplib.ts';
import { EVERY_APP } from '#identity/totp.ts';
import { postgresGuesses, postgresUsers } from '#identity/users.postgres.ts';
import { userRoutes } from '#identity/users.routes.ts';
import { Users } from '#identity/users.service.ts';
import { postgresPasskeys } from '#identity/webauthn.postgres.ts';
import { passkeyVerifier } from '#identity/webauthn.simplewebauthn.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import type { Role } from '#kernel/principal.ts';
import type { Queryable } from '#postgres/pool.ts';
import { postgresChallenges } from '#stepup/stepup.postgres.ts';
import { stepUpRoutes } from '#stepup/stepup.routes.ts';
import { PROOF_SECONDS, StepUp } from '#stepup/stepup.service.ts';
import { orUnavailable, PROGRAM } from './gateway-database.ts';
import { openFederation, openTokens } from './gateway-federation.ts';
import { openKeys } from './gateway-keys.ts';

export interface IdentityOptions {
  readonly config: Config;
  readonly base: string;
  readonly pool: Queryable;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly dataDir: string;
  /** With the embedded database the seal key is made on the first run. */
  readonly embedded: boolean;
  readonly portalUrl: () => string;
  readonly instance: string;
}

export interface OpenIdentity extends AsyncDisposable {
  readonly principals: Principals;
  readonly stepUp: StepUp;
  readonly routes: Route[];
  /** Null where there are accounts already. `tell` is called before they exist. */
  makeFirstAccounts(
    tell: (accounts: readonly FirstRunAccount[]) => Promise<void>,
  ): Promise<readonly FirstRunAccount[] | null>;
}

/** Everything about people: accounts, sign-in, factors, step-up, keys, user management. */
export async function openIdentity(options: IdentityOptions): Promise<OpenIdentity> {
  const { config, base, pool, recorder, clock, dataDir, log, portalUrl } = options;
  const keys = await openKeys(options);
  const { sealer } = keys;
  const secondFactorRoles: readonly Role[] = ['admin', ...config.identity.secondFactorRoles];
  const store = orUnavailable(postgresAccounts(pool, secondFactorRoles));
  const users = orUnavailable(postgresUsers(pool));
  const guesses = orUnavailable(postgresGuesses(pool));
  const hasher = argon2Hasher();
  const totp = otplibTotp(clock);
  const shared = { ...options, ...keys, store, users, sealer, totp, guesses, publicUrl: portalUrl };
  const federation = await openFederation(shared);
  const identity = new Identity({
    ...shared,
    hasher,
    localAccounts: config.identity.localAccounts,
    passwordDays: maxAgeDays(config.identity.passwordProfile),
    isFresh: federation.isFresh,
  });
  const passkeys = orUnavailable(postgresPasskeys(pool));
  const verifier = passkeyVerifier(portalUrl);
  const stepUp = new StepUp({ ...shared, store: orUnavailable(postgresChallenges(pool)), passkeys, verifier });
  const confirm = identity.confirm.bind(identity);
  const ownPasskeys = new Passkeys({ passkeys, verifier, recorder, secondFactorRoles, randomBytes, confirm });
  const passkeySignIn = new PasskeySignIn({
    ...shared,
    passkeys,
    verifier,
    takeGuess: identity.takeGuess.bind(identity),
    checkPassword: identity.checkPassword.bind(identity),
    enter: identity.enter.bind(identity),
  });
  const ownAccount = new OwnAccount({
    store,
    users,
    recorder,
    hasher,
    totp,
    sealer,
    guesses,
    rules: await passwordRules(config, base),
    secondFactorRoles,
    newTotpSecret: () => newTotpSecret(config.identity.totp),
    totpUri,
    randomBytes,
    confirm,
    onFactorsChanged: (username) => forgetFirstRun(dataDir, username),
  });
  const principals = new Principals({ store, clock });
  return {
    principals,
    stepUp,
    routes: [
      ...identityRoutes({
        signIn: async (...credentials) => {
          const signedIn = await identity.signIn(...credentials);
          principals.expect(signedIn.token);
          return signedIn;
        },
        signOut: identity.signOut.bind(identity),
        changePassword: ownAccount.changePassword.bind(ownAccount),
        secondFactorRoles,
      }),
      ...keyRoutes(ownAccount),
      ...factorRoutes(ownAccount),
      ...adminKeyRoutes(new AdminKeys({ store, users, recorder })),
      ...stepUpRoutes({
        proofSeconds: PROOF_SECONDS,
        prove: stepUp.prove.bind(stepUp),
        options: stepUp.options.bind(stepUp),
        rotate: async (principal, token, origin) => {
          const renewed = await identity.rotate(principal, token, origin).catch((error: unknown) => {
            log.warn('a session could not be given another token', { requestId: origin.requestId, error });
            return null;
          });
          if (renewed !== null) principals.expect(renewed.token);
          principals.forget(token);
          return renewed;
        },
      }),
      ...passkeyRoutes(ownPasskeys),
      ...passkeySignInRoutes(passkeySignIn, secondFactorRoles),
      ...(config.identity.oidc === undefined ? [] : passkeyConfirmRoutes(passkeySignIn)),
      ...userRoutes(new Users({ store: users, recorder, portalUrl })),
      ...federation.routes,
      ...(await openTokens(shared, confirm)),
    ],
    makeFirstAccounts: (tell) =>
      makeFirstAccounts({
        store,
        recorder,
        hasher,
        sealer,
        // The file of the first run holds the secret alone: it is one that every app knows how to use.
        newTotpSecret: () => newTotpSecret(EVERY_APP).secret,
        randomBytes,
        tell,
      }),
    [Symbol.asyncDispose]: () => sealer[Symbol.asyncDispose](),
  };
}

/** The shipped blocklist and the house's own. */
async function passwordRules({ identity }: Config, base: string): Promise<PasswordRules> {
  const files = [join(PROGRAM, 'policies', 'password-blocklist.txt')];
  if (identity.passwordBlocklistFile !== undefined) files.push(resolve(base, identity.passwordBlocklistFile));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return { profile: identity.passwordProfile, blocked: parseBlocklist(texts.join('\n')) };
}
