import { cookieValue } from '#http/credential.ts';
import { NO_STEP_UP, PUBLIC, publicRoute, type Route, route } from '#http/route.ts';
import { DEVICE_COOKIE, deviceCookie, NO_COOKIE, sessionCookie } from '#http/session-cookie.ts';
import type { Origin } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal, type Role } from '#kernel/principal.ts';
import { LoginRequest, LoginResponse, PasswordRequest, SessionResponse, type User } from './identity.contract.ts';
import { type Account, describeAccount } from './identity.ts';

/** What the routes need of the services. */
export interface IdentityPort {
  signIn(
    username: string,
    password: string,
    code: string | undefined,
    device: string | null,
    origin: Origin,
  ): Promise<{ token: string; expiresAt: string; account: Account; device: string; mustChangePassword: boolean }>;
  signOut(principal: Principal, origin: Origin): Promise<void>;
  changePassword(principal: Principal, current: string, next: string, origin: Origin): Promise<void>;
  /** Roles whose accounts may do nothing before they have set up a second factor. */
  readonly secondFactorRoles: readonly Role[];
}

const ownSession = (_input: unknown, principal: Principal) => ({ type: 'session', id: principal.subject });
const ownAccount = (_input: unknown, principal: Principal) => ({ type: 'account', id: principal.subject });

export function identityRoutes(identity: IdentityPort): Route[] {
  return [
    publicRoute<undefined, undefined, LoginRequest>({
      id: 'auth.login',
      method: 'POST',
      path: '/auth/login',
      summary: 'Sign in with a password and, where the account has one, the code of its second factor',
      access: PUBLIC,
      body: LoginRequest,
      bodyLimit: 4096,
      response: LoginResponse,
      handle: async ({ body, origin, headers }) => {
        const device = cookieValue(headers['cookie'], DEVICE_COOKIE);
        const signedIn = await identity.signIn(body.username, body.password, body.code, device, origin);
        const { token, expiresAt, account, mustChangePassword } = signedIn;
        const answer: LoginResponse = {
          token,
          expires_at: expiresAt,
          user: { ...describeAccount(account, identity.secondFactorRoles), must_change_password: mustChangePassword },
        };
        return {
          kind: 'json',
          body: answer,
          headers: { 'set-cookie': [sessionCookie(token, expiresAt), deviceCookie(signedIn.device)] },
        };
      },
    }),
    route({
      id: 'auth.session',
      method: 'GET',
      path: '/auth/session',
      summary: 'Who is signed in',
      access: { action: 'session.read', resource: ownSession, denial: 'forbidden' },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'none',
      response: SessionResponse,
      handle: async ({ principal }) => {
        const answer: SessionResponse = { user: userOf(principal), expires_at: principal.expiresAt };
        return { kind: 'json', body: answer };
      },
    }),
    route({
      id: 'auth.logout',
      method: 'POST',
      path: '/auth/logout',
      summary: 'End this session on every replica',
      access: { action: 'session.end', resource: ownSession, denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      handle: async ({ principal, origin }) => {
        await identity.signOut(principal, origin);
        return { kind: 'empty', headers: { 'set-cookie': NO_COOKIE } };
      },
    }),
    route<undefined, undefined, PasswordRequest>({
      id: 'auth.password',
      method: 'POST',
      path: '/auth/password',
      summary: 'Change one’s own password; ends every session of the account',
      access: { action: 'password.set', resource: ownAccount, denial: 'forbidden' },
      credentials: 'session',
      stepUp: (principal) => (hasSecondFactor(principal) ? `Change the password of ${principal.username}` : null),
      counts: 'none',
      records: 'full',
      body: PasswordRequest,
      bodyLimit: 4096,
      handle: async ({ principal, body, origin }) => {
        await identity.changePassword(principal, body.current_password, body.new_password, origin);
        return { kind: 'empty', headers: { 'set-cookie': NO_COOKIE } };
      },
    }),
  ];
}

const userOf = (principal: Principal): User => ({
  id: principal.subject,
  username: principal.username,
  roles: [...principal.roles],
  attributes: {
    department: principal.attributes.department,
    clearance: principal.attributes.clearance,
    branch: principal.attributes.branch,
  },
  has_totp: principal.hasTotp,
  has_passkey: principal.hasPasskey,
  must_enrol: principal.restricted,
  must_change_password: principal.mustChangePassword ?? false,
});
