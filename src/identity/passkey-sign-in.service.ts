import { ANONYMOUS, type AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import { newSecret, sha256Hex } from '#kernel/id.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import type { AccountStore } from './identity.ts';
import type { Factor, Known, SignedIn } from './sign-in.ts';
import type { GuessLimiter } from './users.ts';
import {
  type Assertion,
  AssertionRefused,
  type Ceremony,
  challengeIn,
  type PasskeyStore,
  type PasskeyUse,
  type PasskeyVerifier,
  type Purpose,
  type RequestOptions,
  requestOptions,
  usePasskey,
} from './webauthn.ts';

export interface PasskeySignInDeps {
  readonly passkeys: PasskeyStore;
  readonly verifier: PasskeyVerifier;
  readonly store: Pick<AccountStore, 'findAccount'>;
  readonly recorder: Recorder;
  readonly guesses: GuessLimiter;
  /** Of a sign-in with a password: a passkey stands beside it, not in its place. */
  readonly takeGuess: (username: string, device: string | null, origin: Origin) => Promise<Omit<Known, 'account'>>;
  readonly checkPassword: (u: string, password: string, device: string | null, origin: Origin) => Promise<Known>;
  readonly enter: (known: Known, factor: Factor, device: string | null, origin: Origin) => Promise<SignedIn>;
}

/** A passkey where a code would be: at the sign-in, and after the identity provider's. */
export class PasskeySignIn {
  readonly #deps: PasskeySignInDeps;

  constructor(deps: PasskeySignInDeps) {
    this.#deps = deps;
  }

  /**
   * The password first, judged and counted as at any sign-in. A right one is no guess: what it gives is a challenge that
   * only the passkey can answer.
   *
   * @throws Problem `invalid_credentials`, `too_many_attempts`; `conflict` for a right password without a passkey
   */
  async begin(username: string, password: string, device: string | null, origin: Origin): Promise<RequestOptions> {
    const { account, name, device: known } = await this.#deps.checkPassword(username, password, device, origin);
    await this.#deps.guesses.giveBack(`sign-in ${name}`, known);
    return this.#challenge(account.id, account.epoch, 'sign-in', null, origin);
  }

  /** @throws Problem `invalid_credentials`, `too_many_attempts` */
  async finish(assertion: Assertion, device: string | null, origin: Origin): Promise<SignedIn> {
    const [challenge, ceremony] = await this.#take(assertion, 'sign-in', null, ANONYMOUS, origin);
    const { name, device: known } = await this.#deps.takeGuess(ceremony.username, device, origin);
    const account = await this.#deps.store.findAccount(ceremony.username);
    if (account === null || account.id !== ceremony.account) throw new Problem('invalid_credentials');
    const passkey = await this.#check(account.id, assertion, challenge, 'session.create', origin);
    const factor: Factor = { name: 'passkey', step: null, recovery: null, passkey };
    // With the epoch of the first half: the password may have been changed since.
    const before = { ...account, epoch: ceremony.epoch };
    return this.#deps.enter({ account: before, name, device: known }, factor, device, origin);
  }

  /** For a session that owes a second factor. @throws Problem `conflict` without a passkey */
  beginConfirm(principal: Principal, origin: Origin): Promise<RequestOptions> {
    return this.#challenge(principal.subject, principal.epoch, 'confirm', principal.credential.ref, origin);
  }

  /** A new session takes the place of this one. @throws Problem `invalid_credentials`, `too_many_attempts` */
  async confirm(
    principal: Principal,
    assertion: Assertion,
    origin: Origin,
  ): Promise<{ token: string; expiresAt: string }> {
    const { subject, credential } = principal;
    const what = `confirm session ${subject}`;
    const wait = await this.#deps.guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const [challenge] = await this.#take(assertion, 'confirm', credential.ref, subject, origin);
    const passkey = await this.#check(subject, assertion, challenge, 'session.confirm', origin);
    const token = newSecret('srs_');
    const verdict = await this.#deps.recorder.change(
      'session.confirm',
      { ref: credential.ref, new_ref: sha256Hex(token), account: subject, passkey },
      eventOf(subject, 'session.confirm', origin, { factors: 'passkey', passkey: passkey.id }),
    );
    if (verdict.verdict !== 'changed') throw new Problem('invalid_credentials');
    await this.#deps.guesses.clear(what, '');
    return { token, expiresAt: (verdict.detail as { expires_at: string }).expires_at };
  }

  async #challenge(
    account: string,
    epoch: number,
    purpose: Purpose,
    session: string | null,
    origin: Origin,
  ): Promise<RequestOptions> {
    const passkeys = await this.#deps.passkeys.listPasskeys(account);
    if (passkeys.length === 0) throw new Problem('conflict', { message: 'This account has no passkey.' });
    const challenge = newSecret('');
    const verdict = await this.#deps.recorder.change(
      'webauthn.challenge',
      { ref: sha256Hex(challenge), purpose, account, session, epoch },
      eventOf(account, 'passkey.challenge', origin, { purpose }),
    );
    if (verdict.verdict !== 'changed') throw new Problem('invalid_credentials');
    return requestOptions(this.#deps.verifier.relyingParty(), challenge, passkeys);
  }

  async #take(
    assertion: Assertion,
    purpose: Purpose,
    session: string | null,
    actor: string,
    origin: Origin,
  ): Promise<readonly [string, Ceremony]> {
    const challenge = challengeIn(assertion);
    const taken =
      challenge === null ? null : await this.#deps.passkeys.takeChallenge(sha256Hex(challenge), purpose, session);
    if (challenge === null || taken === null) throw this.#refused('challenge_gone', actor, actionOf(purpose), origin);
    return [challenge, taken];
  }

  async #check(
    account: string,
    assertion: Assertion,
    challenge: string,
    action: string,
    origin: Origin,
  ): Promise<PasskeyUse> {
    try {
      return await usePasskey(this.#deps, account, assertion, challenge);
    } catch (error) {
      if (error instanceof AssertionRefused) throw this.#refused(error.code, account, action, origin);
      throw error;
    }
  }

  #refused(code: AssertionRefused['code'], actor: string, action: string, origin: Origin): Problem {
    this.#deps.recorder.refuse(
      { ...eventOf(actor, action, origin, { factors: 'passkey' }), outcome: 'denied', outcome_code: code },
      { code, source: networkOf(origin.address), subject: actor },
    );
    return new Problem('invalid_credentials');
  }
}

const actionOf = (purpose: Purpose): string => (purpose === 'confirm' ? 'session.confirm' : 'session.create');

const eventOf = (actor: string, action: string, origin: Origin, facts: Record<string, string>): AuditEvent => ({
  kind: 'sign-in',
  actor,
  action,
  resource: `account:${actor}`,
  outcome: 'completed',
  request: origin.requestId,
  facts: { ...facts, ...sourceFacts(origin) },
});
