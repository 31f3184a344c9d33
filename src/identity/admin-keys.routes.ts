import { type Route, route } from '#http/route.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { keyLimitsOf, keyView } from './api-key.ts';
import { IssuedKey, IssueRequest, KeyPath, type OwnedKey, OwnedKeyList } from './identity.contract.ts';
import type { KeyLimits, OwnedKey as OwnedKeyRecord } from './identity.ts';

interface Actor {
  readonly id: string;
  readonly requestId: string | null;
  readonly facts: Readonly<Record<string, string>>;
}

/** What the routes need of the service. */
export interface AdminKeysPort {
  list(): Promise<readonly OwnedKeyRecord[]>;
  ownerNameOf(account: string): Promise<string>;
  find(id: string): Promise<OwnedKeyRecord>;
  issue(
    account: string,
    name: string,
    limits: KeyLimits,
    actor: Actor,
  ): Promise<{ readonly key: string; readonly record: OwnedKeyRecord }>;
  revoke(id: string, actor: Actor): Promise<void>;
}

const actorOf = (call: { readonly principal: Principal; readonly origin: Origin }): Actor => ({
  id: call.principal.subject,
  requestId: call.origin.requestId,
  facts: sourceFacts(call.origin),
});

const common = { credentials: 'session', counts: 'none', records: 'full' } as const;
const access = (action: string) =>
  ({ action, resource: () => ({ type: 'directory', id: 'keys' }), denial: 'forbidden' }) as const;

/** All API keys. Every change asks the admin's second factor for this one operation. */
export function adminKeyRoutes(keys: AdminKeysPort): Route[] {
  return [
    route({
      ...common,
      id: 'admin.keys',
      method: 'GET',
      path: '/admin/keys',
      summary: 'All API keys with their owners, without their secrets',
      access: access('keys.list'),
      stepUp: () => null,
      records: 'denials',
      response: OwnedKeyList,
      handle: async () => ({
        kind: 'json',
        body: { data: (await keys.list()).map(ownedKeyOf) } satisfies OwnedKeyList,
      }),
    }),
    route<undefined, undefined, IssueRequest>({
      ...common,
      id: 'admin.keys.create',
      method: 'POST',
      path: '/admin/keys',
      summary: 'Make an API key of a service account; it is shown once',
      access: access('keys.create'),
      stepUp: async (_admin, { body }) =>
        `Make the API key “${body.name}” for the service account ${await keys.ownerNameOf(body.account)}`,
      body: IssueRequest,
      bodyLimit: 4096,
      response: IssuedKey,
      handle: async (call) => {
        const { account, name } = call.body;
        const { key, record } = await keys.issue(account, name, keyLimitsOf(call.body), actorOf(call));
        return { kind: 'json', status: 201, body: { ...ownedKeyOf(record), key } satisfies IssuedKey };
      },
    }),
    route<{ id: string }>({
      ...common,
      id: 'admin.keys.revoke',
      method: 'DELETE',
      path: '/admin/keys/:id',
      summary: 'Revoke anybody’s API key on every replica',
      access: access('keys.revoke'),
      stepUp: async (_admin, { params }) => {
        const { name, owner } = await keys.find(params.id);
        return `Revoke the API key “${name}” of ${owner.username}`;
      },
      params: KeyPath,
      handle: async (call) => {
        await keys.revoke(call.params.id, actorOf(call));
        return { kind: 'empty' };
      },
    }),
  ];
}

const ownedKeyOf = (record: OwnedKeyRecord): OwnedKey => ({
  ...keyView(record),
  owner: { ...record.owner, roles: [...record.owner.roles] },
  limits: record.quota,
});
