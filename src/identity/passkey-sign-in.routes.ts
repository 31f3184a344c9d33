import { cookieValue } from '#http/credential.ts';
import { NO_STEP_UP, PUBLIC, publicRoute, type Route, route } from '#http/route.ts';
import { DEVICE_COOKIE, deviceCookie, sessionCookie } from '#http/session-cookie.ts';
import type { Origin } from '#kernel/origin.ts';
import type { Principal, Role } from '#kernel/principal.ts';
import { LoginResponse } from './identity.contract.ts';
import { describeAccount } from './identity.ts';
import { CodeResponse } from './oidc.contract.ts';
import type { SignedIn } from './sign-in.ts';
import { AssertionRequest, PasskeySignInRequest, RequestOptions } from './webauthn.contract.ts';
import type { Assertion, RequestOptions as Options } from './webauthn.ts';

/** What the routes need of the service. */
export interface PasskeySignInPort {
  begin(username: string, password: string, device: string | null, origin: Origin): Promise<Options>;
  finish(assertion: Assertion, device: string | null, origin: Origin): Promise<SignedIn>;
  beginConfirm(principal: Principal, origin: Origin): Promise<Options>;
  confirm(principal: Principal, assertion: Assertion, origin: Origin): Promise<{ token: string; expiresAt: string }>;
}

const confirming = {
  access: {
    action: 'session.confirm',
    resource: (_input: unknown, principal: Principal) => ({ type: 'session', id: principal.subject }),
    denial: 'forbidden',
  },
  credentials: 'session',
  stepUp: NO_STEP_UP,
  counts: 'none',
  records: 'denials',
} as const;

/** Signing in with a passkey beside the password; the code's way is POST /auth/login. */
export function passkeySignInRoutes(signIn: PasskeySignInPort, secondFactorRoles: readonly Role[]): Route[] {
  return [
    publicRoute<undefined, undefined, PasskeySignInRequest>({
      id: 'auth.webauthn.sign-in.options',
      method: 'POST',
      path: '/auth/webauthn/sign-in/options',
      summary: 'What a passkey must sign, for whoever has the account’s password',
      access: PUBLIC,
      body: PasskeySignInRequest,
      bodyLimit: 4096,
      response: RequestOptions,
      handle: async ({ body, headers, origin }) => {
        const device = cookieValue(headers['cookie'], DEVICE_COOKIE);
        return {
          kind: 'json',
          body: await signIn.begin(body.username, body.password, device, origin),
        };
      },
    }),
    publicRoute<undefined, undefined, AssertionRequest>({
      id: 'auth.webauthn.sign-in',
      method: 'POST',
      path: '/auth/webauthn/sign-in',
      summary: 'Sign in with the passkey’s answer',
      access: PUBLIC,
      body: AssertionRequest,
      bodyLimit: 16 * 1024,
      response: LoginResponse,
      handle: async ({ body, headers, origin }) => {
        const device = cookieValue(headers['cookie'], DEVICE_COOKIE);
        const signedIn = await signIn.finish(body.assertion, device, origin);
        const { token, expiresAt, account, mustChangePassword } = signedIn;
        const user = { ...describeAccount(account, secondFactorRoles), must_change_password: mustChangePassword };
        return {
          kind: 'json',
          body: { token, expires_at: expiresAt, user } satisfies LoginResponse,
          headers: { 'set-cookie': [sessionCookie(token, expiresAt), deviceCookie(signedIn.device)] },
        };
      },
    }),
  ];
}

/** After a sign-in through the identity provider, where that asked for one factor only. */
export function passkeyConfirmRoutes(signIn: PasskeySignInPort): Route[] {
  return [
    route({
      ...confirming,
      id: 'auth.webauthn.confirm.options',
      method: 'POST',
      path: '/auth/webauthn/confirm/options',
      summary: 'What a passkey must sign where the identity provider asked for no second factor',
      response: RequestOptions,
      handle: async ({ principal, origin }) => ({
        kind: 'json',
        body: await signIn.beginConfirm(principal, origin),
      }),
    }),
    route<undefined, undefined, AssertionRequest>({
      ...confirming,
      id: 'auth.webauthn.confirm',
      method: 'POST',
      path: '/auth/webauthn/confirm',
      summary: 'Show the passkey that the identity provider did not ask for; answers with a new session',
      body: AssertionRequest,
      bodyLimit: 16 * 1024,
      response: CodeResponse,
      handle: async ({ principal, body, origin }) => {
        const { token, expiresAt } = await signIn.confirm(principal, body.assertion, origin);
        return {
          kind: 'json',
          body: { token, expires_at: expiresAt } satisfies CodeResponse,
          headers: { 'set-cookie': sessionCookie(token, expiresAt) },
        };
      },
    }),
  ];
}
