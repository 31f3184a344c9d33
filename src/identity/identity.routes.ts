import { SESSION_COOKIE } from '#http/credential.ts';
import { NO_STEP_UP, PUBLIC, publicRoute, type Route, route } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import {
  type ApiKey,
  KeyList,
  KeyPath,
  KeyRequest,
  KeyResponse,
  LoginRequest,
  LoginResponse,
  PasswordRequest,
  SessionResponse,
  type User,
} from './identity.contract.ts';
import type { Account, ApiKeyRecord } from './identity.ts';

interface Origin {
  readonly requestId: string;
  readonly address: string;
}

/** What the routes need of the service. */
export interface IdentityPort {
  signIn(
    username: string,
    password: string,
    code: string | undefined,
    origin: Origin,
  ): Promise<{ token: string; expiresAt: string; account: Account }>;
  signOut(principal: Principal, origin: Origin): Promise<void>;
  changePassword(principal: Principal, current: string, next: string, origin: Origin): Promise<void>;
  createKey(
    principal: Principal,
    name: string,
    password: string | undefined,
    expiresInDays: number | undefined,
    origin: Origin,
  ): Promise<{ key: string; record: ApiKeyRecord }>;
  listKeys(principal: Principal): Promise<readonly ApiKeyRecord[]>;
  revokeKey(principal: Principal, id: string, origin: Origin): Promise<void>;
}

const cookie = (token: string, expires: string): string =>
  `${SESSION_COOKIE}=${token}; Path=/; Secure; HttpOnly; SameSite=Strict; Expires=${new Date(expires).toUTCString()}`;
const NO_COOKIE = `${SESSION_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0`;

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
      handle: async ({ body, requestId, address }) => {
        const { token, expiresAt, account } = await identity.signIn(body.username, body.password, body.code, {
          requestId,
          address,
        });
        const answer: LoginResponse = { token, expires_at: expiresAt, user: userOfAccount(account) };
        return { kind: 'json', body: answer, headers: { 'set-cookie': cookie(token, expiresAt) } };
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
      handle: async ({ principal, requestId, address }) => {
        await identity.signOut(principal, { requestId, address });
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
      stepUp: (principal) => (principal.hasTotp ? `Change the password of ${principal.username}` : null),
      counts: 'none',
      records: 'full',
      body: PasswordRequest,
      bodyLimit: 4096,
      handle: async ({ principal, body, requestId, address }) => {
        await identity.changePassword(principal, body.current_password, body.new_password, { requestId, address });
        return { kind: 'empty', headers: { 'set-cookie': NO_COOKIE } };
      },
    }),
    ...keyRoutes(identity),
  ];
}

function keyRoutes(identity: IdentityPort): Route[] {
  return [
    route({
      id: 'keys.list',
      method: 'GET',
      path: '/auth/keys',
      summary: 'One’s own API keys, without their secrets',
      access: { action: 'key.list', resource: ownAccount, denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      response: KeyList,
      handle: async ({ principal }) => {
        const answer: KeyList = { data: (await identity.listKeys(principal)).map(keyOf) };
        return { kind: 'json', body: answer };
      },
    }),
    route<undefined, undefined, KeyRequest>({
      id: 'keys.create',
      method: 'POST',
      path: '/auth/keys',
      summary: 'Make an API key; it is shown once',
      access: { action: 'key.create', resource: ownAccount, denial: 'forbidden' },
      credentials: 'session',
      stepUp: (principal, { body }) =>
        principal.hasTotp ? `Make the API key “${body.name}” for ${principal.username}` : null,
      counts: 'none',
      records: 'full',
      body: KeyRequest,
      bodyLimit: 4096,
      response: KeyResponse,
      handle: async ({ principal, body, requestId, address }) => {
        if (!principal.hasTotp && body.password === undefined) {
          throw new Problem('schema_invalid', {
            message: 'password: your password is needed to make a key',
            param: 'password',
          });
        }
        const origin = { requestId, address };
        const { key, record } = await identity.createKey(
          principal,
          body.name,
          body.password,
          body.expires_in_days,
          origin,
        );
        const answer: KeyResponse = { ...keyOf(record), key };
        return { kind: 'json', status: 201, body: answer };
      },
    }),
    route<{ id: string }>({
      id: 'keys.revoke',
      method: 'DELETE',
      path: '/auth/keys/:id',
      summary: 'Revoke one’s own API key on every replica',
      access: { action: 'key.revoke', resource: ownAccount, denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'full',
      params: KeyPath,
      handle: async ({ principal, params, requestId, address }) => {
        await identity.revokeKey(principal, params.id, { requestId, address });
        return { kind: 'empty' };
      },
    }),
  ];
}

const userOf = (principal: Principal): User => ({
  id: principal.subject,
  username: principal.username,
  roles: [...principal.roles],
  attributes: principal.attributes,
  has_totp: principal.hasTotp,
});

const userOfAccount = (account: Account): User => ({
  id: account.id,
  username: account.username,
  roles: [...account.roles],
  attributes: { department: account.department, clearance: account.clearance },
  has_totp: account.totpSecret !== null,
});

const keyOf = (record: ApiKeyRecord): ApiKey => ({
  id: record.id,
  name: record.name,
  created_at: record.createdAt,
  expires_at: record.expiresAt,
  last_used_at: record.lastUsedAt,
});
