import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import { Problem } from '#kernel/problem.ts';
import type { AccountStore, KeyLimits, OwnedKey } from './identity.ts';
import type { UserStore } from './users.ts';

export interface AdminKeysDeps {
  readonly store: Pick<AccountStore, 'listAllKeys'>;
  readonly users: Pick<UserStore, 'listAccounts'>;
  readonly recorder: Recorder;
}

interface Actor {
  readonly id: string;
  readonly requestId: string | null;
  readonly facts: Readonly<Record<string, string>>;
}

/** Everybody's API keys, for admins: they make those of service accounts and revoke any; they never see one again. */
export class AdminKeys {
  readonly #deps: AdminKeysDeps;

  constructor(deps: AdminKeysDeps) {
    this.#deps = deps;
  }

  list(): Promise<readonly OwnedKey[]> {
    return this.#deps.store.listAllKeys();
  }

  /** For the sentence that an admin confirms. @throws Problem `not_found` */
  async ownerNameOf(account: string): Promise<string> {
    const owner = (await this.#deps.users.listAccounts()).find(({ id }) => id === account);
    if (owner === undefined) throw new Problem('not_found');
    return owner.username;
  }

  /** For the sentence that an admin confirms. @throws Problem `not_found` */
  async find(id: string): Promise<OwnedKey> {
    const key = (await this.list()).find((candidate) => candidate.id === id);
    if (key === undefined) throw new Problem('not_found');
    return key;
  }

  /** @throws Problem `conflict` for an account that is no service account, or disabled */
  async issue(
    account: string,
    name: string,
    limits: KeyLimits,
    actor: Actor,
  ): Promise<{ readonly key: string; readonly record: OwnedKey }> {
    const key = newSecret('srk_');
    const id = newUserId().replace(/^usr_/, 'key_');
    const { expiresInDays, models, actions, quota } = limits;
    const verdict = await this.#deps.recorder.change(
      'key.issue',
      {
        id,
        account,
        name,
        secret_hash: sha256Hex(key),
        expires_in_days: expiresInDays,
        models,
        actions,
        limits: quota,
      },
      event('key.create', id, { ...actor.facts, owner: account }, actor),
    );
    if (verdict.verdict !== 'changed')
      throw new Problem('conflict', {
        message: 'Admins make keys of service accounts that are in force, and no others.',
      });
    return { key, record: await this.find(id) };
  }

  /** On every replica. @throws Problem `not_found` */
  async revoke(id: string, actor: Actor): Promise<void> {
    const verdict = await this.#deps.recorder.change(
      'key.withdraw',
      { id },
      event('key.revoke', id, actor.facts, actor),
    );
    if (verdict.verdict !== 'changed') throw new Problem('not_found');
  }
}

const event = (action: string, id: string, facts: Readonly<Record<string, string>>, actor: Actor): AuditEvent => ({
  kind: 'change',
  actor: actor.id,
  action,
  resource: `key:${id}`,
  outcome: 'completed',
  request: actor.requestId,
  facts,
});
