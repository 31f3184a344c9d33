import { randomUUID } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import type { Clock } from '#kernel/clock.ts';
import { Problem } from '#kernel/problem.ts';
import {
  accessTokenClaims,
  isPublished,
  signingKey,
  type TokenIssuer,
  type TokenKey,
  type TokenKeys,
} from './token.ts';

export interface JoseIssuerOptions {
  readonly keys: TokenKeys;
  /** The `iss` of every token: where its keys are published. */
  readonly issuer: () => string;
  readonly clock: Clock;
}

/** Signs with ES256. `typ: at+jwt` (RFC 9068, section 2.1) keeps a token from being taken for another sort of JWT. */
export function joseIssuer({ keys, issuer, clock }: JoseIssuerOptions): TokenIssuer {
  let held: TokenKey | null = null;
  return {
    mint: async (principal, audience) => {
      held = signingKey(await keys.current(), held, clock.now());
      if (held === null) throw new Problem('internal', {}, new Error('there is no key that signs tokens'));
      const { jwk, d } = held;
      const id = randomUUID();
      const claims = accessTokenClaims({ issuer: issuer(), audience, principal, id, now: clock.now() });
      const token = await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: jwk.alg, typ: 'at+jwt', kid: jwk.kid })
        .sign(await importJWK({ ...jwk, d: d ?? '' }, jwk.alg));
      return { token, id };
    },
    publicKeys: async () => (await keys.current()).filter((key) => isPublished(key, clock.now())).map(({ jwk }) => jwk),
  };
}
