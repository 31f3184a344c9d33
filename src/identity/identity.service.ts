import { ANONYMOUS, type AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import { newSecret, sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem, type ProblemCode, type ProblemDetail } from '#kernel/problem.ts';
import {
  type Account,
  type AccountStore,
  type PasswordHasher,
  SESSION_LIMITS,
  type Sealer,
  type Totp,
} from './identity.ts';
import { isRecoveryCode, recoveryText } from './recovery.ts';
import type { Factor, Known, SignedIn } from './sign-in.ts';
import type { GuessLimiter } from './users.ts';

export interface IdentityDeps {
  readonly store: AccountStore;
  readonly recorder: Recorder;
  readonly hasher: PasswordHasher;
  readonly totp: Totp;
  readonly sealer: Sealer;
  readonly guesses: GuessLimiter;
  /** False: only admins sign in with a password. */
  readonly localAccounts: boolean;
  /** Days after which a password must be changed; null: never. */
  readonly passwordDays: number | null;
  readonly log: Log;
  /** Whether somebody's identity provider has just asked him again: then he is not asked for a password he has not. */
  readonly isFresh: (principal: Principal) => Promise<boolean>;
}

/** Which factors the account can show, the stronger one first. Told to whoever has shown its password. */
const factorsOf = ({ totpSecret, hasPasskey }: Account): string =>
  [hasPasskey ? 'passkey' : '', totpSecret === null ? '' : 'totp'].filter(Boolean).join(' ');

interface Opened {
  readonly token: string;
  readonly expiresAt: string;
  readonly mustChangePassword: boolean;
}

interface OpenedDetail {
  readonly expires_at: string;
  readonly password_expired?: boolean;
}

/** Seconds until the next 30 s step, at most: when a used code may be followed by a new one. */
const NEXT_CODE_SECONDS = 30;

/** Sign-in and sign-out, and the password once more for what a stolen session must not do. */
export class Identity {
  readonly #deps: IdentityDeps;

  constructor(deps: IdentityDeps) {
    this.#deps = deps;
  }

  /**
   * `device` is the device cookie's value, if any.
   *
   * @throws Problem `invalid_credentials` and `too_many_attempts` (the same for a name that nobody has), `code_required`,
   *   `code_used`
   */
  async signIn(
    username: string,
    password: string,
    code: string | undefined,
    device: string | null,
    origin: Origin,
  ): Promise<SignedIn> {
    const known = await this.checkPassword(username, password, device, origin);
    const { account, name } = known;
    const factor = this.#factorOf(account, code);
    if (factor === 'missing')
      throw this.#refused(name, account, 'code_required', origin, { extra: { factors: factorsOf(account) } });
    if (factor === 'wrong') throw this.#refused(name, account, 'invalid_credentials', origin);
    return this.enter(known, factor, device, origin);
  }

  /** Every sign-in is a guess until it has succeeded. @throws Problem `too_many_attempts` */
  async takeGuess(username: string, device: string | null, origin: Origin): Promise<Omit<Known, 'account'>> {
    const name = this.#deps.sealer.fingerprint(username);
    const known = this.#knownDevice(device, username);
    const wait = await this.#deps.guesses.take(`sign-in ${name}`, known);
    if (wait > 0) throw this.#refused(name, null, 'too_many_attempts', origin, { retryAfter: wait });
    return { name, device: known };
  }

  /** A guess, and the password. @throws Problem `invalid_credentials`, `too_many_attempts`: the same for a name that nobody has */
  async checkPassword(username: string, password: string, device: string | null, origin: Origin): Promise<Known> {
    const taken = await this.takeGuess(username, device, origin);
    const account = await this.#deps.store.findAccount(username);
    const right = await this.#deps.hasher.verify(account?.passwordHash ?? null, password);
    const allowed = this.#deps.localAccounts || account?.roles.includes('admin');
    if (account === null || !right || !allowed) throw this.#refused(taken.name, account, 'invalid_credentials', origin);
    await this.#rehash(account, password, origin);
    return { ...taken, account };
  }

  /** Opens the session and clears the guesses. @throws Problem `invalid_credentials`, `code_used` */
  async enter(known: Known, factor: Factor | null, device: string | null, origin: Origin): Promise<SignedIn> {
    const { account, name } = known;
    const session = await this.#openSession(account, factor, origin);
    if (session === 'code_used') {
      await this.#deps.guesses.giveBack(`sign-in ${name}`, known.device);
      throw new Problem('code_used', { retryAfter: NEXT_CODE_SECONDS });
    }
    await this.#deps.guesses.clear(`sign-in ${name}`, known.device);
    if (session.mustChangePassword) {
      const event = this.#event(account.id, 'sign-in', 'password.expired', origin);
      await this.#deps.recorder.record({ ...event, outcome: 'restricted' });
    }
    return { ...session, account, device: known.device === '' ? this.#newDevice(account.username) : (device ?? '') };
  }

  async #openSession(account: Account, factor: Factor | null, origin: Origin): Promise<Opened | 'code_used'> {
    const token = newSecret('srs_');
    const factors = factor === null ? ['password'] : ['password', factor.name];
    const verdict = await this.#deps.recorder.change(
      'session.create',
      {
        account: account.id,
        epoch: account.epoch,
        ref: sha256Hex(token),
        factors,
        totp_step: factor?.step ?? null,
        recovery: factor?.recovery ?? null,
        passkey: factor?.passkey ?? null,
        idle_seconds: SESSION_LIMITS.idle,
        ttl_seconds: SESSION_LIMITS.absolute,
        max_age_days: this.#deps.passwordDays,
      },
      this.#event(account.id, 'sign-in', 'session.create', origin, {
        factors: factors.join(' '),
        ...(factor?.passkey ? { passkey: factor.passkey.id } : {}),
      }),
    );
    if (verdict.verdict === 'changed') {
      const { expires_at: expiresAt, password_expired: expired } = verdict.detail as OpenedDetail;
      return { token, expiresAt, mustChangePassword: expired === true };
    }
    if (verdict.code === 'code_used') return 'code_used';
    throw new Problem('invalid_credentials');
  }

  /**
   * The same password under the parameters of today, once they have risen. Nothing ends by it, and a sign-in that has
   * succeeded does not fail by it: the next one tries again.
   */
  async #rehash(account: Account, password: string, origin: Origin): Promise<void> {
    const { hasher, recorder, log } = this.#deps;
    if (account.passwordHash === null || hasher.isCurrent(account.passwordHash)) return;
    try {
      const event = this.#event(account.id, 'change', 'password.rehash', origin);
      const renewed = await hasher.hash(password);
      await recorder.change('password.rehash', { account: account.id, old: account.passwordHash, new: renewed }, event);
    } catch (error) {
      log.warn('a password could not be hashed again', { requestId: origin.requestId, error });
    }
  }

  /**
   * Another token for the same session; the one that was shown ends within seconds. Null where that was not the one in
   * force: a request beside this one has been faster.
   *
   * @throws Problem `audit_unavailable`
   */
  async rotate(
    principal: Principal,
    token: string,
    origin: Origin,
  ): Promise<{ readonly token: string; readonly expiresAt: string } | null> {
    const next = newSecret('srs_');
    const verdict = await this.#deps.recorder.change(
      'session.rotate',
      { ref: principal.credential.ref, account: principal.subject, old: sha256Hex(token), new: sha256Hex(next) },
      this.#event(principal.subject, 'sign-in', 'session.rotate', origin),
    );
    if (verdict.verdict !== 'changed') return null;
    return { token: next, expiresAt: (verdict.detail as OpenedDetail).expires_at };
  }

  #factorOf(account: Account, code: string | undefined): Factor | null | 'missing' | 'wrong' {
    if (account.totpSecret === null && !account.hasPasskey) return null;
    if (code === undefined) return 'missing';
    const none = { step: null, recovery: null, passkey: null };
    if (isRecoveryCode(code))
      return { ...none, name: 'recovery code', recovery: sha256Hex(recoveryText(account.id, code)) };
    if (account.totpSecret === null) return 'wrong';
    const step = this.#deps.totp.stepOf(this.#deps.sealer.open(account.totpSecret, `totp ${account.id}`), code);
    return step === null ? 'wrong' : { ...none, name: 'totp', step };
  }

  /** A device that signed in to this account before; '' for every other. */
  #knownDevice(cookie: string | null, username: string): string {
    const [id = '', signature = ''] = cookie?.split('.', 2) ?? [];
    return id !== '' && this.#deps.sealer.isFingerprint(signature, `device ${id} ${username}`) ? id : '';
  }

  #newDevice(username: string): string {
    const id = newSecret('');
    return `${id}.${this.#deps.sealer.fingerprint(`device ${id} ${username}`)}`;
  }

  /** A failed sign-in on the record. The name is kept as an HMAC only: people type passwords there. */
  #refused(name: string, account: Account | null, code: ProblemCode, origin: Origin, detail?: ProblemDetail): Problem {
    const actor = account?.id ?? ANONYMOUS;
    this.#deps.recorder.refuse(
      {
        ...this.#event(actor, 'sign-in', 'session.create', origin, account === null ? { name_hmac: name } : {}),
        outcome: 'denied',
        outcome_code: code,
      },
      { code, source: networkOf(origin.address), subject: actor },
    );
    return new Problem(code, detail);
  }

  async signOut(principal: Principal, origin: Origin): Promise<void> {
    if (principal.credential.kind !== 'session') throw new Problem('session_required');
    await this.#deps.recorder.change(
      'session.end',
      { ref: principal.credential.ref },
      this.#event(principal.subject, 'sign-in', 'session.end', origin),
    );
  }

  /**
   * The account, once its password has been given again.
   *
   * @throws Problem `invalid_credentials`, `too_many_attempts`
   */
  async confirm(principal: Principal, password: string, action: string, origin: Origin): Promise<Account> {
    if (await this.#deps.isFresh(principal)) {
      const account = await this.#deps.store.findAccount(principal.username);
      if (account !== null && account.id === principal.subject && account.passwordHash === null) return account;
    }
    if (password === '') {
      throw new Problem('schema_invalid', { message: 'password: your password is needed', param: 'password' });
    }
    const what = `confirm ${principal.subject}`;
    const wait = await this.#deps.guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const account = await this.#deps.store.findAccount(principal.username);
    const right = await this.#deps.hasher.verify(account?.passwordHash ?? null, password);
    if (account !== null && account.id === principal.subject && right) {
      await this.#deps.guesses.clear(what, '');
      return account;
    }
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
      facts: { ...facts, ...sourceFacts(origin) },
    };
  }
}
