import { type Route, route } from '#http/route.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { Invitation, NewUser, UserChange, UserList, UserPath, UserRecord } from './users.contract.ts';
import type { UserEntry } from './users.ts';

interface Actor {
  readonly id: string;
  readonly requestId: string | null;
  readonly facts: Readonly<Record<string, string>>;
}
interface InvitedUser {
  readonly user: UserEntry;
  /** Null for a service account. */
  readonly link: { readonly url: string; readonly expiresAt: string } | null;
}

/** What the routes need of the service. */
export interface UsersPort {
  list(): Promise<readonly UserEntry[]>;
  nameOf(id: string): Promise<string>;
  invite(values: NewUser, actor: Actor): Promise<InvitedUser>;
  reset(id: string, actor: Actor): Promise<InvitedUser>;
  update(id: string, changes: UserChange, actor: Actor): Promise<UserEntry>;
  setDisabled(id: string, disabled: boolean, actor: Actor): Promise<UserEntry>;
  erase(id: string, actor: Actor): Promise<void>;
}

interface Path {
  readonly id: string;
}

const actorOf = (call: { readonly principal: Principal; readonly origin: Origin }): Actor => ({
  id: call.principal.subject,
  requestId: call.origin.requestId,
  facts: sourceFacts(call.origin),
});

const changes = { credentials: 'session', counts: 'none', records: 'full' } as const;
const access = (action: string) =>
  ({ action, resource: () => ({ type: 'directory', id: 'users' }), denial: 'forbidden' }) as const;

/** Every change asks the admin's second factor for this one operation. */
export function userRoutes(users: UsersPort): Route[] {
  return [
    route({
      ...changes,
      id: 'admin.users',
      method: 'GET',
      path: '/admin/users',
      summary: 'All accounts, without anything secret',
      access: access('users.list'),
      stepUp: () => null,
      records: 'denials',
      response: UserList,
      handle: async () => ({ kind: 'json', body: { data: (await users.list()).map(recordOf) } satisfies UserList }),
    }),
    route<undefined, undefined, NewUser>({
      ...changes,
      id: 'admin.users.create',
      method: 'POST',
      path: '/admin/users',
      summary: 'Make an account; answers with the one-use link by which its user chooses a password',
      access: access('users.create'),
      stepUp: (_admin, { body }) => `Make the account ${body.username} with the roles ${body.roles.join(', ')}`,
      body: NewUser,
      response: Invitation,
      handle: async (call) => ({
        kind: 'json',
        status: 201,
        body: invitationOf(await users.invite(call.body, actorOf(call))),
      }),
    }),
    route<Path, undefined, UserChange>({
      ...changes,
      id: 'admin.users.update',
      method: 'PATCH',
      path: '/admin/users/:id',
      summary: 'Change roles and attributes; ends every session of the account',
      access: access('users.update'),
      stepUp: async (_admin, { params, body }) =>
        `Change ${describe(body)} of the account ${await users.nameOf(params.id)}`,
      params: UserPath,
      body: UserChange,
      response: UserRecord,
      handle: async (call) => ({
        kind: 'json',
        body: recordOf(await users.update(call.params.id, call.body, actorOf(call))),
      }),
    }),
    ...(['disable', 'enable'] as const).map((verb) =>
      route<Path>({
        ...changes,
        id: `admin.users.${verb}`,
        method: 'POST',
        path: `/admin/users/:id/${verb}`,
        summary:
          verb === 'disable' ? 'End all sessions of an account and let it start none' : 'Let an account sign in again',
        access: access(`users.${verb}`),
        stepUp: async (_admin, { params }) =>
          `${verb === 'disable' ? 'Disable' : 'Enable'} the account ${await users.nameOf(params.id)}`,
        params: UserPath,
        response: UserRecord,
        handle: async (call) => ({
          kind: 'json',
          body: recordOf(await users.setDisabled(call.params.id, verb === 'disable', actorOf(call))),
        }),
      }),
    ),
    route<Path>({
      ...changes,
      id: 'admin.users.reset',
      method: 'POST',
      path: '/admin/users/:id/reset',
      summary: 'Take password, second factor, sessions and API keys away; answers with a new link',
      access: access('users.reset'),
      stepUp: async (_admin, { params }) =>
        `Reset password, second factor and API keys of the account ${await users.nameOf(params.id)}`,
      params: UserPath,
      response: Invitation,
      handle: async (call) => ({ kind: 'json', body: invitationOf(await users.reset(call.params.id, actorOf(call))) }),
    }),
    route<Path>({
      ...changes,
      id: 'admin.users.erase',
      method: 'POST',
      path: '/admin/users/:id/erase',
      summary: 'Forget who somebody was: a disabled account is gone for good, and the log shows its id alone',
      access: access('users.erase'),
      stepUp: async (_admin, { params }) =>
        `Erase the account ${await users.nameOf(params.id)} for good: the log will show ${params.id} alone`,
      params: UserPath,
      handle: async (call) => {
        await users.erase(call.params.id, actorOf(call));
        return { kind: 'empty' };
      },
    }),
  ];
}

/** What changes and to what, for the sentence that the admin confirms. */
const describe = (change: UserChange): string =>
  Object.entries(change)
    .map(([name, value]) => `${name} to ${Array.isArray(value) ? value.join(', ') : `“${value}”`}`)
    .join(' and ') || 'nothing';

const recordOf = (user: UserEntry): UserRecord => ({
  id: user.id,
  username: user.username,
  roles: [...user.roles],
  attributes: {
    department: user.department,
    clearance: user.clearance,
    branch: user.branch,
    certifications: [...user.certifications],
  },
  state: user.state,
  has_totp: user.hasTotp,
  has_passkey: user.hasPasskey,
  created_at: user.createdAt,
  last_sign_in_at: user.lastSignInAt,
});

const invitationOf = ({ user, link }: InvitedUser): Invitation => ({
  user: recordOf(user),
  enrolment: link === null ? null : { url: link.url, expires_at: link.expiresAt },
});
