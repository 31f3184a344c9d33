import { z } from 'zod';

/** POST /auth/token. `password` is needed of a session whose account has no second factor; otherwise the proof is. */
export const TokenRequest = z.object({
  audience: z.string().min(1).max(200),
  password: z.string().min(1).max(128).optional(),
});
export type TokenRequest = z.infer<typeof TokenRequest>;

/** RFC 6749, section 5.1. The token is a JWT of RFC 9068 for that one audience; this gateway itself never takes it. */
export const TokenResponse = z.object({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.number().int(),
});
export type TokenResponse = z.infer<typeof TokenResponse>;

/** GET /.well-known/jwks.json (RFC 7517, section 5). */
export const KeySet = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('EC'),
      crv: z.literal('P-256'),
      x: z.string(),
      y: z.string(),
      kid: z.string(),
      alg: z.literal('ES256'),
      use: z.literal('sig'),
    }),
  ),
});
export type KeySet = z.infer<typeof KeySet>;
