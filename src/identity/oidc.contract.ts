import { z } from 'zod';

/** GET /auth/methods: what the sign-in page offers. */
export const SignInMethods = z.object({
  /** False: only admins sign in with a password. */
  local_accounts: z.boolean(),
  /** Sign-in through the house's identity provider, at /auth/oidc/start. */
  oidc: z.boolean(),
});
export type SignInMethods = z.infer<typeof SignInMethods>;

/** GET /auth/oidc/start. `fresh=true`: the provider asks its user again, whatever session it has. */
export const StartQuery = z.object({ fresh: z.enum(['true', 'false']).optional() });
export type StartQuery = z.infer<typeof StartQuery>;

/** GET /auth/oidc/callback, as the provider sends it (OpenID Connect Core 1.0, section 3.1.2.5). Others are ignored. */
export const CallbackQuery = z.object({
  code: z.string().max(4096).optional(),
  state: z.string().max(512).optional(),
  iss: z.string().max(2048).optional(),
  error: z.string().max(512).optional(),
});
export type CallbackQuery = z.infer<typeof CallbackQuery>;

/** POST /auth/oidc/backchannel-logout: a form, from the provider itself (OpenID Connect Back-Channel Logout 1.0). */
export const LogoutRequest = z.object({ logout_token: z.string().min(1).max(8192) });
export type LogoutRequest = z.infer<typeof LogoutRequest>;

/** POST /auth/oidc/code: the second factor of an account whose provider did not ask for one. */
export const CodeRequest = z.object({ code: z.string().regex(/^\d{6,8}$/, 'six to eight digits') });
export type CodeRequest = z.infer<typeof CodeRequest>;

/** The new session; the old one has ended. The same token is set as the `__Host-strongroom` cookie. */
export const CodeResponse = z.object({ token: z.string(), expires_at: z.string() });
export type CodeResponse = z.infer<typeof CodeResponse>;
