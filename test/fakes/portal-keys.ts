import { randomBytes } from 'node:crypto';
import type { IssueRequest, OwnedKey } from '#identity/identity.contract.ts';
import type { UserRecord } from '#identity/users.contract.ts';
import type { Call, StepUps } from './portal-call.ts';
import { json, problem } from './portal-reply.ts';

const owned = (id: string, name: string, owner: Pick<UserRecord, 'id' | 'username' | 'roles'>): OwnedKey => ({
  id: `key_${id.padEnd(32, '0')}`,
  name,
  created_at: '2026-09-20T08:00:00Z',
  expires_at: '2026-12-20T08:00:00Z',
  last_used_at: null,
  models: null,
  actions: null,
  owner: { id: owner.id, username: owner.username, roles: owner.roles, disabled: false },
  limits: {},
});

/** Everybody's keys, as far as an admin's page can see them. */
export class PortalKeys {
  readonly #stepUps: StepUps;
  #keys: readonly OwnedKey[] = [
    owned('a1', 'month-end report', { id: `usr_${'a'.repeat(32)}`, username: 'analyst', roles: ['analyst'] }),
  ];

  constructor(stepUps: StepUps) {
    this.#stepUps = stepUps;
  }

  /** True where the path was one of ours. `named`: the account of an id. */
  answer(call: Call, named: (id: string) => UserRecord | undefined): boolean {
    const { path, response, body } = call;
    if (path === 'GET /admin/keys') json(response, 200, { data: this.#keys });
    else if (path === 'POST /admin/keys') this.#issue(call, body as IssueRequest, named);
    else if (path.startsWith('DELETE /admin/keys/')) this.#revoke(call);
    else return false;
    return true;
  }

  #issue(call: Call, { account, name, limits }: IssueRequest, named: (id: string) => UserRecord | undefined) {
    const owner = named(account);
    if (owner === undefined) return problem(call.response, '/admin', 409, 'conflict');
    if (!this.#stepUps.passes(call, `Make the API key “${name}” for the service account ${owner.username}`)) return;
    const key = { ...owned(randomBytes(8).toString('hex'), name, owner), limits: limits ?? {} };
    this.#keys = [...this.#keys, key];
    json(call.response, 201, { ...key, key: `srk_${randomBytes(32).toString('base64url')}` });
  }

  #revoke(call: Call) {
    const key = this.#keys.find(({ id }) => call.url.pathname.endsWith(id));
    if (key === undefined) return problem(call.response, '/admin', 404, 'not_found');
    if (!this.#stepUps.passes(call, `Revoke the API key “${key.name}” of ${key.owner.username}`)) return;
    this.#keys = this.#keys.filter((other) => other !== key);
    json(call.response, 204);
  }
}
