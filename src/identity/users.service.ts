import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import type { Role } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import type { UserEntry, UserStore } from './users.ts';

export interface UsersDeps {
  readonly store: Pick<UserStore, 'listAccounts'>;
  readonly recorder: Recorder;
  /** Where the portal is: enrolment links begin with it. */
  readonly portalUrl: () => string;
}

export interface NewUserValues {
  readonly username: string;
  readonly roles: readonly Role[];
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  readonly certifications: readonly string[];
}
export interface UserChanges {
  readonly roles?: readonly Role[] | undefined;
  readonly department?: string | undefined;
  readonly clearance?: number | undefined;
  readonly branch?: string | undefined;
  readonly certifications?: readonly string[] | undefined;
}
export interface InvitedUser {
  readonly user: UserEntry;
  /** Null for a service account. */
  readonly link: { readonly url: string; readonly expiresAt: string } | null;
}
/** Who acts: an account's id, or `system` with the operating system's user for the command line's emergency door. */
export interface Actor {
  readonly id: string;
  readonly requestId: string | null;
  readonly facts: Readonly<Record<string, string>>;
}

/** What the database refuses to do, whoever asks at the same moment. */
const CONFLICTS: Readonly<Record<string, string>> = {
  last_admin: 'This is the last admin who can act. Make another one first.',
  not_disabled: 'Disable the account first: its user may be at work.',
  service_account: 'A service account has no password and never signs in; a person’s account becomes none.',
};

/** User management. An admin gives rights and never knows a password: users choose theirs through a one-use link. */
export class Users {
  readonly #deps: UsersDeps;

  constructor(deps: UsersDeps) {
    this.#deps = deps;
  }

  list(): Promise<readonly UserEntry[]> {
    return this.#deps.store.listAccounts();
  }

  /** For the sentence that an admin confirms. @throws Problem `not_found` */
  async nameOf(id: string): Promise<string> {
    return (await this.#find(id)).username;
  }

  /** A service account gets no link. @throws Problem `conflict` for a username that is taken */
  async invite(values: NewUserValues, actor: Actor): Promise<InvitedUser> {
    const id = newUserId();
    if (values.roles.includes('service')) {
      await this.#change('account.service', { id, ...values }, id, 'account.create', { roles: 'service' }, actor);
      return { user: await this.#find(id), link: null };
    }
    return this.#invite(id, { id, ...values }, 'account.create', { roles: values.roles.join(' ') }, actor);
  }

  /** Takes password, factor, sessions and API keys away and makes a new link. @throws Problem `not_found`, `conflict` */
  reset(id: string, actor: Actor): Promise<InvitedUser> {
    return this.#invite(id, { id }, 'account.reset', {}, actor);
  }

  async #invite(
    id: string,
    change: object,
    action: string,
    facts: Record<string, string>,
    actor: Actor,
  ): Promise<InvitedUser> {
    const token = newSecret('sre_');
    const verdict = await this.#change(
      'account.invite',
      { ...change, enrolment: sha256Hex(token) },
      id,
      action,
      facts,
      actor,
    );
    const { expires_at: expiresAt } = verdict.detail as { expires_at: string };
    return { user: await this.#find(id), link: { url: `${this.#deps.portalUrl()}/#/enrol/${token}`, expiresAt } };
  }

  /** Ends every session of the account. @throws Problem `not_found`, `conflict` for the last admin */
  async update(id: string, changes: UserChanges, actor: Actor): Promise<UserEntry> {
    const facts = Object.fromEntries(
      Object.entries(changes)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, Array.isArray(value) ? value.join(' ') : String(value)]),
    );
    await this.#change('account.update', { id, ...changes }, id, 'account.update', facts, actor);
    return this.#find(id);
  }

  /** @throws Problem `not_found` when there is nothing to change, `conflict` for oneself and for the last admin */
  async setDisabled(id: string, disabled: boolean, actor: Actor): Promise<UserEntry> {
    if (disabled && id === actor.id) {
      throw new Problem('conflict', { message: 'You can’t disable your own account. Another admin can.' });
    }
    const name = disabled ? 'account.disable' : 'account.enable';
    await this.#change(name, { id }, id, name, {}, actor);
    return this.#find(id);
  }

  /**
   * Forgets who somebody was; what he did stays on record under his id, and every proof holds. There is no way back: his
   * name may be another's from now on. Whom an identity provider vouches for again gets another id.
   *
   * @throws Problem `not_found`, `conflict` for an account that is not disabled
   */
  async erase(id: string, actor: Actor): Promise<void> {
    await this.#change('account.erase', { id }, id, 'account.erase', {}, actor);
  }

  async #change(name: string, change: object, id: string, action: string, facts: Record<string, string>, actor: Actor) {
    const event: AuditEvent = {
      kind: 'change',
      actor: actor.id,
      action,
      resource: `account:${id}`,
      outcome: 'completed',
      request: actor.requestId,
      facts: { ...facts, ...actor.facts },
    };
    const verdict = await this.#deps.recorder.change(name, change as Record<string, unknown>, event);
    if (verdict.verdict === 'changed') return verdict;
    if (verdict.code === 'username_taken')
      throw new Problem('conflict', { message: 'This username is taken.', param: 'username' });
    const message = CONFLICTS[verdict.code ?? ''];
    throw message === undefined ? new Problem('not_found') : new Problem('conflict', { message });
  }

  async #find(id: string): Promise<UserEntry> {
    const user = (await this.#deps.store.listAccounts()).find((candidate) => candidate.id === id);
    if (user === undefined) throw new Problem('not_found');
    return user;
  }
}
