import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import { NO_COOKIE } from '#http/session-cookie.ts';
import type { Origin } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal } from '#kernel/principal.ts';
import {
  CreationOptions,
  PasskeyInfo,
  PasskeyList,
  PasskeyPath,
  RegisterOptionsRequest,
  RegisterRequest,
  RegisterResponse,
  RenameRequest,
} from './webauthn.contract.ts';
import type { Attestation, CreationOptions as Creation, Passkey } from './webauthn.ts';

/** What the routes need of the service. */
export interface PasskeysPort {
  list(principal: Principal): Promise<readonly Passkey[]>;
  begin(principal: Principal, password: string | undefined, origin: Origin): Promise<Creation>;
  register(
    principal: Principal,
    name: string,
    attestation: Attestation,
    origin: Origin,
  ): Promise<{ passkey: Passkey; recoveryCodes: readonly string[] }>;
  rename(principal: Principal, id: string, name: string, origin: Origin): Promise<Passkey>;
  nameOf(principal: Principal, id: string): Promise<string | null>;
  remove(principal: Principal, id: string, origin: Origin): Promise<void>;
}

interface Path {
  readonly id: string;
}

const common = { credentials: 'session', stepUp: NO_STEP_UP, counts: 'none', records: 'full' } as const;
const access = (action: string) =>
  ({
    action,
    resource: (_input: unknown, principal: Principal) => ({ type: 'account', id: principal.subject }),
    denial: 'forbidden',
  }) as const;

const infoOf = ({ id, name, createdAt, lastUsedAt }: Passkey): PasskeyInfo => ({
  id,
  name,
  created_at: createdAt,
  last_used_at: lastUsedAt,
});

/** One's own passkeys. Whoever has a factor shows it before he gets another one, or takes one away. */
export function passkeyRoutes(passkeys: PasskeysPort): Route[] {
  return [
    route({
      ...common,
      id: 'auth.passkeys',
      method: 'GET',
      path: '/auth/webauthn/keys',
      summary: 'One’s own passkeys',
      access: access('passkey.list'),
      records: 'denials',
      response: PasskeyList,
      handle: async ({ principal }) => {
        const data = (await passkeys.list(principal)).map(infoOf);
        return { kind: 'json', body: { data } satisfies PasskeyList };
      },
    }),
    route<undefined, undefined, RegisterOptionsRequest>({
      ...common,
      id: 'auth.passkeys.begin',
      method: 'POST',
      path: '/auth/webauthn/register/options',
      summary: 'Begin to register a passkey; nothing changes before it has answered',
      access: access('passkey.enrol'),
      stepUp: (principal) => (hasSecondFactor(principal) ? `Register a passkey for ${principal.username}` : null),
      body: RegisterOptionsRequest,
      bodyLimit: 4096,
      response: CreationOptions,
      handle: async (call) => ({
        kind: 'json',
        body: await passkeys.begin(call.principal, call.body.password, call.origin),
      }),
    }),
    route<undefined, undefined, RegisterRequest>({
      ...common,
      id: 'auth.passkeys.register',
      method: 'POST',
      path: '/auth/webauthn/register',
      summary: 'Put a new passkey in force with its answer; ends every session of the account',
      access: access('passkey.register'),
      body: RegisterRequest,
      bodyLimit: 32 * 1024,
      response: RegisterResponse,
      handle: async (call) => {
        const { name, attestation } = call.body;
        const { passkey, recoveryCodes } = await passkeys.register(call.principal, name, attestation, call.origin);
        return {
          kind: 'json',
          status: 201,
          body: { passkey: infoOf(passkey), recovery_codes: [...recoveryCodes] } satisfies RegisterResponse,
          headers: { 'set-cookie': NO_COOKIE },
        };
      },
    }),
    route<Path, undefined, RenameRequest>({
      ...common,
      id: 'auth.passkeys.rename',
      method: 'PATCH',
      path: '/auth/webauthn/keys/:id',
      summary: 'Give one of one’s own passkeys another name',
      access: access('passkey.rename'),
      params: PasskeyPath,
      body: RenameRequest,
      bodyLimit: 1024,
      response: PasskeyInfo,
      handle: async (call) => ({
        kind: 'json',
        body: infoOf(await passkeys.rename(call.principal, call.params.id, call.body.name, call.origin)),
      }),
    }),
    route<Path>({
      ...common,
      id: 'auth.passkeys.remove',
      method: 'DELETE',
      path: '/auth/webauthn/keys/:id',
      summary: 'Remove one of one’s own passkeys; ends every session of the account',
      access: access('passkey.remove'),
      stepUp: async (principal, { params }) => {
        const name = await passkeys.nameOf(principal, params.id);
        return `Remove ${name === null ? 'a passkey' : `the passkey “${name}”`} of ${principal.username}`;
      },
      params: PasskeyPath,
      handle: async (call) => {
        await passkeys.remove(call.principal, call.params.id, call.origin);
        return { kind: 'empty', headers: { 'set-cookie': NO_COOKIE } };
      },
    }),
  ];
}
