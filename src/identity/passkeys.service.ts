import type { AuditEvent } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import { networkOf } from '#audit/refusal-budget.ts';
import { newSecret, newUserId, sha256Hex } from '#kernel/id.ts';
import { type Origin, sourceFacts } from '#kernel/origin.ts';
import { hasSecondFactor, type Principal, type Role } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { RECOVERY_CODES, recoveryCode, recoveryText } from './recovery.ts';
import {
  AssertionRefused,
  type Attestation,
  type CreationOptions,
  challengeIn,
  creationOptions,
  type NewPasskey,
  type Passkey,
  type PasskeyStore,
  type PasskeyVerifier,
} from './webauthn.ts';

export interface PasskeysDeps {
  readonly passkeys: PasskeyStore;
  readonly verifier: PasskeyVerifier;
  readonly recorder: Recorder;
  /** Roles whose accounts may not be without a second factor. */
  readonly secondFactorRoles: readonly Role[];
  readonly randomBytes: (length: number) => Uint8Array;
  readonly confirm: (principal: Principal, password: string, action: string, origin: Origin) => Promise<unknown>;
}

/** Somebody's own passkeys. */
export class Passkeys {
  readonly #deps: PasskeysDeps;

  constructor(deps: PasskeysDeps) {
    this.#deps = deps;
  }

  list(principal: Principal): Promise<readonly Passkey[]> {
    return this.#deps.passkeys.listPasskeys(principal.subject);
  }

  /** `password` where the account has no second factor yet. @throws Problem `invalid_credentials`, `conflict` */
  async begin(principal: Principal, password: string | undefined, origin: Origin): Promise<CreationOptions> {
    const { subject, username, epoch, credential } = principal;
    if (!hasSecondFactor(principal)) await this.#deps.confirm(principal, password ?? '', 'passkey.enrol', origin);
    const challenge = newSecret('');
    const verdict = await this.#deps.recorder.change(
      'webauthn.challenge',
      { ref: sha256Hex(challenge), purpose: 'register', account: subject, session: credential.ref, epoch },
      eventOf(subject, 'passkey.enrol', subject, origin),
    );
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    const known = await this.#deps.passkeys.listPasskeys(subject);
    return creationOptions(this.#deps.verifier.relyingParty(), challenge, { id: subject, name: username }, known);
  }

  /**
   * Ends every session of the account. The recovery codes are new where it had none left; else there are none.
   *
   * @throws Problem `invalid_credentials` for an answer that is not taken, `conflict`
   */
  async register(
    principal: Principal,
    name: string,
    attestation: Attestation,
    origin: Origin,
  ): Promise<{ passkey: Passkey; recoveryCodes: readonly string[] }> {
    const { subject } = principal;
    const [made, epoch] = await this.#check(principal, attestation, origin);
    const codes = Array.from({ length: RECOVERY_CODES }, () => recoveryCode(this.#deps.randomBytes(10)));
    const id = newUserId().replace(/^usr_/, 'psk_');
    const verdict = await this.#deps.recorder.change(
      'passkey.register',
      {
        id,
        account: subject,
        epoch,
        name,
        credential_id: Buffer.from(made.credentialId).toString('hex'),
        public_key: Buffer.from(made.publicKey).toString('hex'),
        sign_count: made.signCount,
        transports: made.transports,
        recovery_codes: codes.map((one) => sha256Hex(recoveryText(subject, one))),
      },
      eventOf(subject, 'passkey.register', id, origin),
    );
    if (verdict.code === 'too_many') throw new Problem('conflict', { message: 'An account has ten passkeys at most.' });
    if (verdict.code === 'known_already')
      throw new Problem('conflict', { message: 'This passkey is registered already.' });
    if (verdict.verdict !== 'changed') throw changedMeanwhile();
    const passkey = (await this.list(principal)).find((one) => one.id === id);
    if (passkey === undefined) throw new Problem('conflict', { message: 'The passkey was removed at once.' });
    const { recovery_codes: isNew } = verdict.detail as { recovery_codes: boolean };
    return { passkey, recoveryCodes: isNew ? codes : [] };
  }

  /** @throws Problem `not_found` */
  async rename(principal: Principal, id: string, name: string, origin: Origin): Promise<Passkey> {
    const { subject } = principal;
    const verdict = await this.#deps.recorder.change(
      'passkey.rename',
      { id, account: subject, name },
      eventOf(subject, 'passkey.rename', id, origin),
    );
    const passkey = (await this.list(principal)).find((one) => one.id === id);
    if (verdict.verdict !== 'changed' || passkey === undefined) throw new Problem('not_found');
    return passkey;
  }

  /** For the sentence that its owner confirms. Whether there is such a passkey is told after that. */
  async nameOf(principal: Principal, id: string): Promise<string | null> {
    return (await this.list(principal)).find((one) => one.id === id)?.name ?? null;
  }

  /** Ends every session of the account. @throws Problem `not_found`, `conflict` for the last factor of who must have one */
  async remove(principal: Principal, id: string, origin: Origin): Promise<void> {
    const { subject, roles } = principal;
    const keepOne = roles.some((role) => this.#deps.secondFactorRoles.includes(role));
    const verdict = await this.#deps.recorder.change(
      'passkey.remove',
      { id, account: subject, keep_one: keepOne },
      eventOf(subject, 'passkey.remove', id, origin),
    );
    if (verdict.code === 'last_factor')
      throw new Problem('conflict', { message: 'Your role needs a second factor. Set up another one first.' });
    if (verdict.verdict !== 'changed') throw new Problem('not_found');
  }

  async #check(
    { subject, credential }: Principal,
    attestation: Attestation,
    origin: Origin,
  ): Promise<readonly [NewPasskey, epoch: number]> {
    const { passkeys, verifier, recorder } = this.#deps;
    try {
      const challenge = challengeIn(attestation);
      const ceremony =
        challenge === null ? null : await passkeys.takeChallenge(sha256Hex(challenge), 'register', credential.ref);
      if (challenge === null || ceremony === null || ceremony.account !== subject)
        throw new AssertionRefused('challenge_gone');
      return [await verifier.checkAttestation(attestation, challenge), ceremony.epoch];
    } catch (error) {
      if (!(error instanceof AssertionRefused)) throw error;
      const event = eventOf(subject, 'passkey.register', subject, origin);
      recorder.refuse(
        { ...event, kind: 'denial', outcome: 'denied', outcome_code: error.code },
        { code: error.code, source: networkOf(origin.address), subject },
      );
      throw new Problem('invalid_credentials', { message: 'The passkey’s answer was not taken. Begin again.' });
    }
  }
}

const changedMeanwhile = (): Problem =>
  new Problem('conflict', { message: 'The account has changed meanwhile. Try again.' });

/** `of`: the passkey, or the account where there is none yet. */
const eventOf = (actor: string, action: string, of: string, origin: Origin): AuditEvent => ({
  kind: 'change',
  actor,
  action,
  resource: of === actor ? `account:${of}` : `passkey:${of}`,
  outcome: 'completed',
  request: origin.requestId,
  facts: { ...sourceFacts(origin) },
});
