import { ANONYMOUS, type AuditEvent, SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import type { Clock } from '#kernel/clock.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import type { Log } from '#kernel/log.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type AccountStore, SESSION_LIMITS, type Sealer, type Totp } from './identity.ts';
import {
  type ClaimMapping,
  type Claims,
  type ExternalIdentity,
  FACTORS,
  type FederatedAccount,
  type FederatedAccountStore,
  FRESH_SECONDS,
  hasSameRights,
  type IdentityProvider,
  identityOf,
  type MappingRefusal,
  PENDING_SECONDS,
  type PendingSignIn,
  ProviderUnavailable,
  sidOf,
  subjectOf,
} from './oidc.ts';
import type { GuessLimiter, UserStore } from './users.ts';

export interface FederationDeps {
  readonly provider: IdentityProvider;
  readonly mapping: ClaimMapping;
  readonly accounts: FederatedAccountStore;
  readonly users: Pick<UserStore, 'listSessions'>;
  readonly store: Pick<AccountStore, 'findAccount'>;
  readonly recorder: Recorder;
  readonly sealer: Sealer;
  readonly totp: Totp;
  readonly guesses: GuessLimiter;
  readonly clock: Clock;
  readonly log: Log;
}

/** All that the browser is told; the rest is on the record and in the log. */
export type SignInError = 'failed' | 'refused' | 'unavailable';
export interface Opened {
  readonly token: string;
  readonly expiresAt: string;
}

/** Sign-ins that wait for the provider at once: nobody makes us call it without bound. */
const MAX_EXCHANGES = 32;
const CONTEXT = 'pending sign-in';

/** Sign-in through the house's own identity provider. It says who somebody is and what he is; what that allows is ours. */
export class FederatedSignIn {
  readonly #deps: FederationDeps;
  #exchanges = 0;

  constructor(deps: FederationDeps) {
    this.#deps = deps;
  }

  /** Where to send the browser, and what it must bring back: sealed, so that it can neither read nor make one. */
  async start(fresh: boolean): Promise<{ url: string; pending: string } | { error: SignInError }> {
    const pending: PendingSignIn = {
      state: newSecret(''),
      nonce: newSecret(''),
      verifier: newSecret(''),
      fresh,
      startedAt: this.#deps.clock.now(),
    };
    try {
      const url = await this.#deps.provider.authorizationUrl(pending);
      const sealed = this.#deps.sealer.seal(JSON.stringify(pending), CONTEXT);
      return { url, pending: Buffer.from(sealed).toString('base64url') };
    } catch (error) {
      this.#deps.log.warn('the identity provider is not usable', { error });
      return { error: 'unavailable' };
    }
  }

  /** The browser is back, with the provider's answer and what it was given by `start`. */
  async finish(
    parameters: URLSearchParams,
    sealed: string | null,
    origin: Origin,
  ): Promise<Opened | { error: SignInError }> {
    const pending = this.#open(sealed);
    if (pending === null) return { error: 'failed' };
    if (this.#exchanges >= MAX_EXCHANGES) return { error: 'unavailable' };
    this.#exchanges++;
    try {
      const claims = await this.#deps.provider.exchange(parameters, pending);
      return await this.#enter(claims, pending, origin);
    } catch (error) {
      this.#deps.log.warn('a sign-in through the identity provider failed', { requestId: origin.requestId, error });
      if (error instanceof ProviderUnavailable || error instanceof Problem) return { error: 'unavailable' };
      this.#refuse('provider_answer', null, {}, origin);
      return { error: 'failed' };
    } finally {
      this.#exchanges--;
    }
  }

  /**
   * The code of the account's own authenticator, where the provider asked for none: a new session takes the place of
   * this one.
   *
   * @throws Problem `invalid_credentials`, `code_used`, `too_many_attempts`, `conflict`
   */
  async confirm(principal: Principal, code: string, origin: Origin): Promise<Opened> {
    const { guesses, totp, sealer, store, recorder } = this.#deps;
    const what = `confirm session ${principal.subject}`;
    const wait = await guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const account = await store.findAccount(principal.username);
    if (account === null || account.id !== principal.subject || account.totpSecret === null)
      throw new Problem('conflict', { message: 'Set up a second factor first.' });
    const event = eventOf(principal.subject, 'session.confirm', origin, { factors: 'totp' });
    const step = totp.stepOf(sealer.open(account.totpSecret, `totp ${account.id}`), code);
    if (step === null) {
      this.#refuse('invalid_credentials', principal.subject, {}, origin);
      throw new Problem('invalid_credentials', { message: 'The code is not right.' });
    }
    const token = newSecret('srs_');
    const verdict = await recorder.change(
      'session.confirm',
      { ref: principal.credential.ref, new_ref: sha256Hex(token), account: account.id, totp_step: step },
      event,
    );
    if (verdict.verdict === 'changed') {
      await guesses.clear(what, '');
      return { token, expiresAt: (verdict.detail as { expires_at: string }).expires_at };
    }
    if (verdict.code !== 'code_used') throw new Problem('session_ended');
    await guesses.giveBack(what, '');
    throw new Problem('code_used', { retryAfter: 30 });
  }

  /** Whether the provider has just asked this session's user again: for him that is what the password is for others. */
  async isFresh(principal: Principal): Promise<boolean> {
    if (principal.credential.kind !== 'session') return false;
    const sessions = await this.#deps.users.listSessions(principal.subject);
    const session = sessions.find(({ ref }) => ref === principal.credential.ref);
    if (session === undefined || !session.factors.includes(FACTORS.fresh)) return false;
    return Date.parse(session.createdAt) + FRESH_SECONDS * 1000 > this.#deps.clock.now();
  }

  #open(sealed: string | null): PendingSignIn | null {
    if (sealed === null) return null;
    try {
      const pending = JSON.parse(this.#deps.sealer.open(Buffer.from(sealed, 'base64url'), CONTEXT)) as PendingSignIn;
      const age = this.#deps.clock.now() - pending.startedAt;
      return age >= 0 && age < PENDING_SECONDS * 1000 ? pending : null;
    } catch {
      return null;
    }
  }

  async #enter(claims: Claims, pending: PendingSignIn, origin: Origin): Promise<Opened | { error: SignInError }> {
    const identity = identityOf(claims, this.#deps.mapping);
    if (typeof identity === 'string') return this.#turnAway(identity, subjectOf(claims), origin);
    // Twice: another replica may be making or changing the same account at this moment.
    for (let attempt = 1; attempt <= 2; attempt++) {
      const known = await this.#deps.accounts.findFederated(identity.externalSubject);
      if (known?.disabled) {
        this.#refuse('account_disabled', known.id, {}, origin);
        return { error: 'refused' };
      }
      const account = await this.#agree(known, identity, origin);
      if (account === null) continue;
      const opened = await this.#openSession(account, identity, sidOf(claims), pending, origin);
      if (opened !== 'account_changed') return opened === 'replayed' ? { error: 'failed' } : opened;
    }
    return { error: 'refused' };
  }

  /** Whoever has lost his last role at the provider loses what he still has here as well. */
  async #turnAway(code: MappingRefusal, subject: string | null, origin: Origin): Promise<{ error: SignInError }> {
    const known = subject === null ? null : await this.#deps.accounts.findFederated(subject);
    if (code === 'no_role' && subject !== null && known !== null && known.roles.length > 0)
      await this.#agree(known, { ...known, roles: [], externalSubject: subject, username: '' }, origin);
    const facts = subject === null ? {} : { subject_hmac: this.#deps.sealer.fingerprint(`oidc ${subject}`) };
    this.#refuse(code, known?.id ?? null, facts, origin);
    return { error: 'refused' };
  }

  /** The account as the provider describes it now; null where it could not be made so. */
  async #agree(
    known: FederatedAccount | null,
    identity: Omit<ExternalIdentity, 'hasSecondFactor'>,
    origin: Origin,
  ): Promise<{ id: string; epoch: number } | null> {
    if (known !== null && hasSameRights(known, identity)) return known;
    const { username, externalSubject, roles, department, clearance, branch } = identity;
    const id = known?.id ?? newUserId();
    const change = { id, external_subject: externalSubject, roles, department, clearance, branch };
    const facts = { by: 'identity provider', roles: roles.join(' '), department, clearance, branch };
    const verdict = await this.#deps.recorder.change(
      'account.federate',
      known === null ? { ...change, username } : { ...change, epoch: known.epoch },
      {
        ...eventOf(SYSTEM, known === null ? 'account.create' : 'account.update', origin, facts),
        kind: 'change',
        resource: `account:${id}`,
      },
    );
    if (verdict.verdict !== 'changed') return null;
    return { id, epoch: known === null ? 1 : known.epoch + 1 };
  }

  async #openSession(
    account: { id: string; epoch: number },
    identity: ExternalIdentity,
    sid: string | null,
    pending: PendingSignIn,
    origin: Origin,
  ): Promise<Opened | 'replayed' | 'account_changed'> {
    const token = newSecret('srs_');
    const factors = [
      FACTORS.provider,
      ...(identity.hasSecondFactor ? [FACTORS.secondFactor] : []),
      ...(pending.fresh ? [FACTORS.fresh] : []),
    ];
    const verdict = await this.#deps.recorder.change(
      'session.federate',
      {
        account: account.id,
        epoch: account.epoch,
        external_subject: identity.externalSubject,
        state: sha256Hex(pending.state),
        sid,
        ref: sha256Hex(token),
        factors,
        idle_seconds: SESSION_LIMITS.idle,
        ttl_seconds: SESSION_LIMITS.absolute,
      },
      eventOf(account.id, 'session.create', origin, { factors: factors.join('; ') }),
    );
    if (verdict.verdict === 'changed')
      return { token, expiresAt: (verdict.detail as { expires_at: string }).expires_at };
    return verdict.code === 'replayed' ? 'replayed' : 'account_changed';
  }

  #refuse(code: string, account: string | null, facts: Record<string, string>, origin: Origin): void {
    const actor = account ?? ANONYMOUS;
    this.#deps.recorder.refuse(
      { ...eventOf(actor, 'session.create', origin, facts), outcome: 'denied', outcome_code: code },
      { code, source: networkOf(origin.address), subject: actor },
    );
  }
}

const eventOf = (
  actor: string,
  action: string,
  origin: Origin,
  facts: Record<string, string | number>,
): AuditEvent => ({
  kind: 'sign-in',
  actor,
  action,
  resource: `account:${actor}`,
  outcome: 'completed',
  request: origin.requestId,
  facts: { ...facts, ...sourceFacts(origin) },
});
