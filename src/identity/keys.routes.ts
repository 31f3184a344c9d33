import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Origin } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal } from '#kernel/principal.ts';
import { keyLimitsOf, keyView } from './api-key.ts';
import { KeyList, KeyPath, KeyRequest, KeyResponse } from './identity.contract.ts';
import type { ApiKeyRecord, KeyLimits } from './identity.ts';

/** What the routes need of the service. */
export interface KeysPort {
  createKey(
    principal: Principal,
    name: string,
    password: string | undefined,
    limits: KeyLimits,
    origin: Origin,
  ): Promise<{ key: string; record: ApiKeyRecord }>;
  listKeys(principal: Principal): Promise<readonly ApiKeyRecord[]>;
  revokeKey(principal: Principal, id: string, origin: Origin): Promise<void>;
}

const ownAccount = (_input: unknown, principal: Principal) => ({ type: 'account', id: principal.subject });

export function keyRoutes(keys: KeysPort): Route[] {
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
        const answer: KeyList = { data: (await keys.listKeys(principal)).map(keyView) };
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
        hasSecondFactor(principal) ? `Make the API key “${body.name}” for ${principal.username}` : null,
      counts: 'none',
      records: 'full',
      body: KeyRequest,
      bodyLimit: 4096,
      response: KeyResponse,
      handle: async ({ principal, body, origin }) => {
        const { key, record } = await keys.createKey(principal, body.name, body.password, keyLimitsOf(body), origin);
        const answer: KeyResponse = { ...keyView(record), key };
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
      handle: async ({ principal, params, origin }) => {
        await keys.revokeKey(principal, params.id, origin);
        return { kind: 'empty' };
      },
    }),
  ];
}
