import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Sealer, Totp } from '#identity/identity.ts';
import type { GuessLimiter } from '#identity/users.ts';
import { newSecret, sha256Hex } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type ChallengeStore, proofText } from './stepup.ts';

export interface StepUpDeps {
  readonly store: ChallengeStore;
  readonly recorder: Recorder;
  readonly totp: Totp;
  readonly sealer: Sealer;
  readonly guesses: GuessLimiter;
}

/** How long a proof may be shown, in seconds; the database's clock decides. */
export const PROOF_SECONDS = 120;

/** A fresh second factor for one operation (RFC 9470): challenge, code, proof. The proof is spent in the admission. */
export class StepUp {
  readonly #deps: StepUpDeps;

  constructor(deps: StepUpDeps) {
    this.#deps = deps;
  }

  /** @throws Problem `session_required` for an API key, `forbidden` for an account without a second factor */
  async challenge(principal: Principal, digest: string, operation: string, requestId: string): Promise<string> {
    if (principal.credential.kind !== 'session') throw new Problem('session_required');
    if (!principal.hasTotp)
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

  /** @throws Problem `invalid_credentials`, `code_used`, `not_found` for a challenge that is gone */
  async prove(principal: Principal, challenge: string, code: string, requestId: string): Promise<string> {
    const ref = sha256Hex(challenge);
    const session = principal.credential.ref;
    const found = await this.#deps.store.findChallenge(ref, session);
    if (found === null) throw gone();
    // A new challenge is a new five tries; the account's own count is not.
    const what = `step-up ${principal.subject}`;
    const wait = await this.#deps.guesses.take(what, '');
    if (wait > 0) throw new Problem('too_many_attempts', { retryAfter: wait });
    const step = this.#deps.totp.stepOf(this.#deps.sealer.open(found.totpSecret, `totp ${principal.subject}`), code);
    const proof = newSecret('sup_');
    const verdict = await this.#deps.recorder.change(
      'step_up.prove',
      { ref, account: principal.subject, session, totp_step: step, proof_ref: sha256Hex(proofText(session, proof)) },
      event(principal, 'step_up.prove', ref, requestId),
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
    if (verdict.code === 'wrong_code') throw new Problem('invalid_credentials', { message: 'The code is not right.' });
    throw gone();
  }
}

const gone = (): Problem => new Problem('not_found', { message: 'This challenge is over. Start the operation again.' });

const event = (principal: Principal, action: string, digest: string, request: string): AuditEvent => ({
  kind: 'sign-in',
  actor: principal.subject,
  action,
  resource: `account:${principal.subject}`,
  outcome: 'completed',
  request,
  facts: { operation_sha256: digest },
});
