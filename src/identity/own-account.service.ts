import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal, type Role } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import type { Account, AccountStore, ApiKeyRecord, KeyLimits, PasswordHasher, Sealer, Totp } from './identity.ts';
import { checkNewPassword, type PasswordRules } from './password-policy.ts';
import { RECOVERY_CODES, recoveryCode, recoveryText } from './recovery.ts';
import { formatTotp, type TotpSecret } from './totp.ts';
import { type GuessLimiter, type OwnSession, sessionId, type UserStore } from './users.ts';

export interface OwnAccountDeps {
  readonly store: AccountStore;
  readonly users: UserStore;
  readonly recorder: Recorder;
  readonly hasher: PasswordHasher;
  readonly totp: Totp;
  readonly sealer: Sealer;
  readonly guesses: GuessLimiter;
  readonly rules: PasswordRules;
  readonly secondFactorRoles: readonly Role[];
  readonly newTotpSecret: () => TotpSecret;
  readonly totpUri: (secret: TotpSecret, username: string) => string;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly confirm: (principal: Principal, password: string, action: string, origin: Origin) => Promise<Account>;
  /** Told when an account's password or factor was changed: the first-run file must forget the old ones. */
  readonly onFactorsChanged: (username: string) => Promise<void>;
}

const changedMeanwhile = (): Problem =>
  new Problem('conflict', { message: 'The account has changed meanwhile. Try again.' });

/** What users do with their own accounts: enrolment, password, second factor, sessions, API keys. */
export class OwnAccount {
  readonly #deps: OwnAccountDeps;

  constructor(deps: OwnAccountDeps) {
    this.#deps = deps;
  }

  /** Takes a one-use enrolment link. @throws Problem `not_found`, `invalid_parameter` (the link stays good) */
  async enrol(token: string, password: string, origin: Origin): Promise<{ username: string; mustEnrol: boolean }> {
    const ref = sha256Hex(token);
    const account = await this.#deps.users.findEnrolment(ref);
    if (account === null)
      throw new Problem('not_found', { message: 'This link has been used or is over. Ask an admin for a new one.' });
    const mustEnrol = account.roles.some((role) => this.#deps.secondFactorRoles.includes(role));
    checkNewPassword(password, account.username, mustEnrol, this.#deps.rules);
    const verdict = await this.#deps.recorder.change(
      'account.enrol',
      { enrolment: ref, password_hash: await this.#deps.hasher.hash(password) },
      event(account.id, 'account.enrol', origin),
    );
    if (verdict.verdict !== 'changed')
      throw new Problem('not_found', { message: 'This link has been used or is over.' });
    return { username: account.username, mustEnrol };
  }

  /** Ends every session of the account. @throws Problem `invalid_credentials`, `invalid_parameter`, `conflict` */
  async changePassword(principal: Principal, current: string, next: string, origin: Origin): Promise<void> {
    const account = await this.#deps.confirm(principal, current, 'password.set', origin);
    checkNewPassword(next, account.username, account.totpSecret !== null, this.#deps.rules);
    const verdict = await this.#deps.recorder.change(
      'password.set',
      { account: account.id, epoch: account.epoch, password_hash: await this.#deps.hasher.hash(next) },
      event(account.id, 'password.set', origin),
    );
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    await this.#deps.onFactorsChanged(account.username);
  }

  /** A new secret that waits for its first good code. `password` where the account has no second factor yet. */
  async enrolTotp(
    principal: Principal,
    password: string | undefined,
    origin: Origin,
  ): Promise<TotpSecret & { readonly uri: string }> {
    if (!hasSecondFactor(principal)) await this.#deps.confirm(principal, password ?? '', 'totp.enrol', origin);
    const secret = this.#deps.newTotpSecret();
    const sealed = this.#deps.sealer.seal(formatTotp(secret), `totp ${principal.subject}`);
    const verdict = await this.#deps.recorder.change(
      'totp.enrol',
      { account: principal.subject, epoch: principal.epoch, secret: Buffer.from(sealed).toString('hex') },
      event(principal.subject, 'totp.enrol', origin),
    );
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    return { ...secret, uri: this.#deps.totpUri(secret, principal.username) };
  }

  /** Ends every session of the account. @throws Problem `invalid_credentials`, `too_many_attempts`, `conflict` */
  async activateTotp(principal: Principal, code: string, origin: Origin): Promise<readonly string[]> {
    const what = `activate ${principal.subject}`;
    const wait = await this.#deps.guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const sealed = await this.#deps.users.pendingTotp(principal.subject);
    if (sealed === null) throw new Problem('conflict', { message: 'Begin the set-up of the second factor first.' });
    const step = this.#deps.totp.stepOf(this.#deps.sealer.open(sealed, `totp ${principal.subject}`), code);
    if (step === null) throw new Problem('invalid_credentials', { message: 'The code is not right.' });
    const codes = Array.from({ length: RECOVERY_CODES }, () => recoveryCode(this.#deps.randomBytes(10)));
    const verdict = await this.#deps.recorder.change(
      'totp.activate',
      {
        account: principal.subject,
        secret: Buffer.from(sealed).toString('hex'),
        totp_step: step,
        recovery_codes: codes.map((one) => sha256Hex(recoveryText(principal.subject, one))),
      },
      event(principal.subject, 'totp.activate', origin),
    );
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    await this.#deps.guesses.clear(what, '');
    await this.#deps.onFactorsChanged(principal.username);
    return codes;
  }

  sessions(principal: Principal): Promise<readonly OwnSession[]> {
    return this.#deps.users.listSessions(principal.subject);
  }

  /** `id` as `sessionId` makes it. @throws Problem `not_found` */
  async endSession(principal: Principal, id: string, origin: Origin): Promise<void> {
    const session = (await this.sessions(principal)).find(({ ref }) => sessionId(ref) === id);
    if (session === undefined) throw new Problem('not_found');
    const verdict = await this.#deps.recorder.change(
      'session.end_other',
      { ref: session.ref, account: principal.subject },
      event(principal.subject, 'session.end', origin),
    );
    if (verdict.verdict !== 'changed') throw new Problem('not_found');
  }

  /** `password` is checked where the account has no second factor; with one, the pipeline has asked for a proof. */
  async createKey(
    principal: Principal,
    name: string,
    password: string | undefined,
    limits: KeyLimits,
    origin: Origin,
  ): Promise<{ key: string; record: ApiKeyRecord }> {
    if (!hasSecondFactor(principal)) await this.#deps.confirm(principal, password ?? '', 'key.create', origin);
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
        expires_in_days: limits.expiresInDays,
        models: limits.models,
        actions: limits.actions,
        limits: limits.quota,
      },
      { ...event(principal.subject, 'key.create', origin), resource: `key:${id}` },
    );
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    const record = (await this.#deps.store.listKeys(principal.subject)).find((candidate) => candidate.id === id);
    if (record === undefined) throw new Problem('conflict', { message: 'The key was revoked at once.' });
    return { key, record };
  }

  listKeys(principal: Principal): Promise<readonly ApiKeyRecord[]> {
    return this.#deps.store.listKeys(principal.subject);
  }

  /** @throws Problem `not_found` */
  async revokeKey(principal: Principal, id: string, origin: Origin): Promise<void> {
    const verdict = await this.#deps.recorder.change(
      'key.revoke',
      { id, account: principal.subject },
      { ...event(principal.subject, 'key.revoke', origin), resource: `key:${id}` },
    );
    if (verdict.verdict !== 'changed') throw new Problem('not_found');
  }
}

const event = (actor: string, action: string, origin: Origin): AuditEvent => ({
  kind: 'change',
  actor,
  action,
  resource: `account:${actor}`,
  outcome: 'completed',
  request: origin.requestId,
  facts: { ...sourceFacts(origin) },
});
