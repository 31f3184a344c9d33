import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Sealer, Totp } from '#identity/identity.ts';
import type { GuessLimiter } from '#identity/users.ts';
import {
  AssertionRefused,
  type PasskeyStore,
  type PasskeyUse,
  type PasskeyVerifier,
  type RequestOptions,
  requestOptions,
  stepUpChallenge,
  usePasskey,
} from '#identity/webauthn.ts';
import { newSecret, sha256Hex } from '#kernel/id.ts';
import { hasSecondFactor, type Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type Answer, type ChallengeStore, type OpenChallenge, proofText } from './stepup.ts';

export interface StepUpDeps {
  readonly store: ChallengeStore;
  readonly recorder: Recorder;
  readonly totp: Totp;
  readonly sealer: Sealer;
  readonly guesses: GuessLimiter;
  readonly passkeys: PasskeyStore;
  readonly verifier: PasskeyVerifier;
}

interface Shown {
  readonly change: { readonly totp_step: number | null } | { readonly passkey: PasskeyUse };
  readonly facts: Readonly<Record<string, string>>;
}

/** How long a proof may be shown, in seconds; the database's clock decides. */
export const PROOF_SECONDS = 120;

/** A fresh second factor for one operation (RFC 9470): challenge, code or passkey, proof. The proof is spent in the admission. */
export class StepUp {
  readonly #deps: StepUpDeps;

  constructor(deps: StepUpDeps) {
    this.#deps = deps;
  }

  /** @throws Problem `session_required` for an API key, `forbidden` for an account without a second factor */
  async challenge(principal: Principal, digest: string, operation: string, requestId: string): Promise<string> {
    if (principal.credential.kind !== 'session') throw new Problem('session_required');
    if (!hasSecondFactor(principal))
      throw new Problem('forbidden', { message: 'This needs a second factor. Set one up first.' });
    const challenge = newSecret('suc_');
    const ref = sha256Hex(challenge);
    await this.#deps.recorder.change(
      'step_up.challenge',
      { ref, account: principal.subject, session: principal.credential.ref, digest, operation },
      event(principal, 'step_up.challenge', digest, requestId),
    );
    return challenge;
  }

  /** What a passkey signs for this challenge. @throws Problem `not_found`, `conflict` without a passkey */
  async options(principal: Principal, challenge: string): Promise<RequestOptions> {
    const found = await this.#deps.store.findChallenge(sha256Hex(challenge), principal.credential.ref);
    if (found === null) throw gone();
    const passkeys = await this.#deps.passkeys.listPasskeys(principal.subject);
    if (passkeys.length === 0) throw new Problem('conflict', { message: 'This account has no passkey.' });
    return requestOptions(this.#deps.verifier.relyingParty(), stepUpChallenge(challenge, found.digest), passkeys);
  }

  /** @throws Problem `invalid_credentials`, `code_used`, `not_found` for a challenge that is gone */
  async prove(principal: Principal, challenge: string, answer: Answer, requestId: string): Promise<string> {
    const ref = sha256Hex(challenge);
    const session = principal.credential.ref;
    const found = await this.#deps.store.findChallenge(ref, session);
    if (found === null) throw gone();
    // A new challenge is a new five tries; the account's own count is not.
    const what = `step-up ${principal.subject}`;
    const wait = await this.#deps.guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const shown = await this.#judge(principal.subject, found, challenge, answer);
    const proof = newSecret('sup_');
    const verdict = await this.#deps.recorder.change(
      'step_up.prove',
      { ref, account: principal.subject, session, ...shown.change, proof_ref: sha256Hex(proofText(session, proof)) },
      event(principal, 'step_up.prove', ref, requestId, shown.facts),
    );
    if (verdict.verdict === 'changed') {
      await this.#deps.guesses.clear(what, '');
      return proof;
    }
    if (verdict.code === 'code_used') {
      // No guess: whoever has it had the device.
      await this.#deps.guesses.giveBack(what, '');
      throw new Problem('code_used', { retryAfter: 30 });
    }
    if (verdict.code === 'wrong_code' || verdict.code === 'counter_regressed')
      throw new Problem('invalid_credentials', {
        message: 'code' in answer ? 'The code is not right.' : 'The passkey’s answer was not taken.',
      });
    throw gone();
  }

  /** What is wrong goes into the change all the same: there it counts against the challenge and on the record. */
  async #judge(account: string, found: OpenChallenge, challenge: string, answer: Answer): Promise<Shown> {
    if ('code' in answer) {
      const { totp, sealer } = this.#deps;
      const secret = found.totpSecret === null ? null : sealer.open(found.totpSecret, `totp ${account}`);
      return { change: { totp_step: secret === null ? null : totp.stepOf(secret, answer.code) }, facts: {} };
    }
    try {
      const signed = stepUpChallenge(challenge, found.digest);
      const passkey = await usePasskey(this.#deps, account, answer.assertion, signed);
      return { change: { passkey }, facts: { factor: 'passkey', passkey: passkey.id } };
    } catch (error) {
      if (!(error instanceof AssertionRefused)) throw error;
      return { change: { totp_step: null }, facts: { factor: 'passkey', reason: error.code } };
    }
  }
}

const gone = (): Problem => new Problem('not_found', { message: 'This challenge is over. Start the operation again.' });

const event = (
  principal: Principal,
  action: string,
  digest: string,
  request: string,
  facts: Readonly<Record<string, string>> = {},
): AuditEvent => ({
  kind: 'sign-in',
  actor: principal.subject,
  action,
  resource: `account:${principal.subject}`,
  outcome: 'completed',
  request,
  facts: { operation_sha256: digest, ...facts },
});
