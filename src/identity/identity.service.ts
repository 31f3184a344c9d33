import { ANONYMOUS, type AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import {
  type Account,
  type AccountStore,
  type ApiKeyRecord,
  checkNewPassword,
  type PasswordHasher,
  SESSION_LIMITS,
  type Sealer,
  type Totp,
} from './identity.ts';

export interface IdentityDeps {
  readonly store: AccountStore;
  readonly recorder: Recorder;
  readonly hasher: PasswordHasher;
  readonly totp: Totp;
  readonly sealer: Sealer;
  /** Told when an account's own password was changed: the first-run file must forget the old one. */
  readonly onPasswordChanged: (username: string) => Promise<void>;
}

/** From where, and under which request, somebody does something. */
export interface Origin {
  readonly requestId: string;
  readonly address: string;
}

export interface SignedIn {
  readonly token: string;
  readonly expiresAt: string;
  readonly account: Account;
}

/** Seconds until the next 30 s step, at most: when a used code may be followed by a new one. */
const NEXT_CODE_SECONDS = 30;

/** Sign-in and sign-out, passwords and API keys of one's own. */
export class Identity {
  readonly #deps: IdentityDeps;

  constructor(deps: IdentityDeps) {
    this.#deps = deps;
  }

  /** @throws Problem `invalid_credentials` (the same for an unknown name), `code_required`, `code_used` */
  async signIn(username: string, password: string, code: string | undefined, origin: Origin): Promise<SignedIn> {
    const account = await this.#deps.store.findAccount(username);
    const right = await this.#deps.hasher.verify(account?.passwordHash ?? null, password);
    if (account === null || !right) throw this.#refused(username, account, 'invalid_credentials', origin);
    const step = this.#stepOf(account, code);
    if (step === 'missing') throw this.#refused(username, account, 'code_required', origin);
    if (step === 'wrong') throw this.#refused(username, account, 'invalid_credentials', origin);
    const token = newSecret('srs_');
    const verdict = await this.#deps.recorder.change(
      'session.create',
      {
        account: account.id,
        epoch: account.epoch,
        ref: sha256Hex(token),
        factors: step === null ? ['password'] : ['password', 'totp'],
        totp_step: step,
        idle_seconds: SESSION_LIMITS.idle,
        ttl_seconds: SESSION_LIMITS.absolute,
      },
      this.#event(account.id, 'sign-in', 'session.create', origin, {
        factors: step === null ? 'password' : 'password totp',
      }),
    );
    if (verdict.verdict !== 'changed') {
      if (verdict.code === 'code_used') throw new Problem('code_used', { retryAfter: NEXT_CODE_SECONDS });
      throw new Problem('invalid_credentials');
    }
    return { token, expiresAt: (verdict.detail as { expires_at: string }).expires_at, account };
  }

  #stepOf(account: Account, code: string | undefined): number | null | 'missing' | 'wrong' {
    if (account.totpSecret === null) return null;
    if (code === undefined) return 'missing';
    return this.#deps.totp.stepOf(this.#deps.sealer.open(account.totpSecret, `totp ${account.id}`), code) ?? 'wrong';
  }

  /** A failed sign-in on the record. A name that nobody has is kept as an HMAC: people type passwords there. */
  #refused(
    username: string,
    account: Account | null,
    code: 'invalid_credentials' | 'code_required',
    origin: Origin,
  ): Problem {
    const actor = account?.id ?? ANONYMOUS;
    const facts = account === null ? { name_hmac: this.#deps.sealer.fingerprint(username) } : {};
    this.#deps.recorder.refuse(
      { ...this.#event(actor, 'sign-in', 'session.create', origin, facts), outcome: 'denied', outcome_code: code },
      { code, source: networkOf(origin.address), subject: actor },
    );
    return new Problem(code);
  }

  async signOut(principal: Principal, origin: Origin): Promise<void> {
    if (principal.credential.kind !== 'session') throw new Problem('session_required');
    await this.#deps.recorder.change(
      'session.end',
      { ref: principal.credential.ref },
      this.#event(principal.subject, 'sign-in', 'session.end', origin),
    );
  }

  /** Ends every session of the account. @throws Problem `invalid_credentials`, `invalid_parameter`, `conflict` */
  async changePassword(principal: Principal, current: string, next: string, origin: Origin): Promise<void> {
    const account = await this.#confirm(principal, current, 'password.set', origin);
    checkNewPassword(next, account.username, account.totpSecret !== null);
    const verdict = await this.#deps.recorder.change(
      'password.set',
      { account: account.id, epoch: account.epoch, password_hash: await this.#deps.hasher.hash(next) },
      this.#event(account.id, 'change', 'password.set', origin),
    );
    if (verdict.verdict !== 'changed')
      throw new Problem('conflict', { message: 'The account has changed meanwhile. Try again.' });
    await this.#deps.onPasswordChanged(account.username);
  }

  /** `password` is checked where the account has no second factor; with one, the pipeline has asked for a proof. */
  async createKey(
    principal: Principal,
    name: string,
    password: string | undefined,
    expiresInDays: number | undefined,
    origin: Origin,
  ): Promise<{ key: string; record: ApiKeyRecord }> {
    if (!principal.hasTotp) await this.#confirm(principal, password ?? '', 'key.create', origin);
    const key = newSecret('srk_');
    const id = newUserId().replace(/^usr_/, 'key_');
    const verdict = await this.#deps.recorder.change(
      'key.create',
      {
        id,
        account: principal.subject,
        epoch: principal.epoch,
        name,
        secret_hash: sha256Hex(key),
        expires_in_days: expiresInDays ?? null,
      },
      { ...this.#event(principal.subject, 'change', 'key.create', origin), resource: `key:${id}` },
    );
    if (verdict.verdict !== 'changed')
      throw new Problem('conflict', { message: 'The account has changed meanwhile. Try again.' });
    const record = (await this.#deps.store.listKeys(principal.subject)).find((candidate) => candidate.id === id);
    if (record === undefined) throw new Problem('conflict', { message: 'The key was revoked at once.' });
    return { key, record };
  }

  listKeys(principal: Principal): Promise<readonly ApiKeyRecord[]> {
    return this.#deps.store.listKeys(principal.subject);
  }

  async revokeKey(principal: Principal, id: string, origin: Origin): Promise<void> {
    const verdict = await this.#deps.recorder.change(
      'key.revoke',
      { id, account: principal.subject },
      { ...this.#event(principal.subject, 'change', 'key.revoke', origin), resource: `key:${id}` },
    );
    if (verdict.verdict !== 'changed') throw new Problem('not_found');
  }

  /** The password once more, for what a stolen session must not do. */
  async #confirm(principal: Principal, password: string, action: string, origin: Origin): Promise<Account> {
    const account = await this.#deps.store.findAccount(principal.username);
    const right = await this.#deps.hasher.verify(account?.passwordHash ?? null, password);
    if (account !== null && account.id === principal.subject && right) return account;
    this.#deps.recorder.refuse(
      {
        ...this.#event(principal.subject, 'denial', action, origin),
        outcome: 'denied',
        outcome_code: 'invalid_credentials',
      },
      { code: 'invalid_credentials', source: networkOf(origin.address), subject: principal.subject },
    );
    throw new Problem('invalid_credentials', { message: 'The current password is not right.' });
  }

  #event(
    actor: string,
    kind: AuditEvent['kind'],
    action: string,
    origin: Origin,
    facts: Record<string, string> = {},
  ): AuditEvent {
    return {
      kind,
      actor,
      action,
      resource: `account:${actor}`,
      outcome: 'completed',
      request: origin.requestId,
      facts: { ...facts, address: origin.address },
    };
  }
}
