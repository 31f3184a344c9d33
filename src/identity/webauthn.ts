import { createHash } from 'node:crypto';

/** A public key of an account's authenticator (WebAuthn Level 3). Nothing of it is secret. */
export interface Passkey {
  /** `psk_…`: what its owner and the record call it. */
  readonly id: string;
  readonly credentialId: Uint8Array;
  /** COSE_Key (RFC 9052). */
  readonly publicKey: Uint8Array;
  /** What the authenticator counted at its last use; 0 where it counts nothing. */
  readonly signCount: number;
  readonly transports: readonly string[];
  readonly name: string;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
}

/** `AuthenticationResponseJSON` of WebAuthn, section 5.1.8; binary members are base64url. */
export interface Assertion {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly response: {
    readonly clientDataJSON: string;
    readonly authenticatorData: string;
    readonly signature: string;
    readonly userHandle?: string | null | undefined;
  };
}

/** `RegistrationResponseJSON` of WebAuthn, section 5.1.8. */
export interface Attestation {
  readonly id: string;
  readonly rawId: string;
  readonly type: 'public-key';
  readonly response: {
    readonly clientDataJSON: string;
    readonly attestationObject: string;
    readonly transports?: readonly string[] | undefined;
  };
}

export type NewPasskey = Pick<Passkey, 'credentialId' | 'publicKey' | 'signCount' | 'transports'>;

/** An open ceremony, once it has been taken. */
export interface Ceremony {
  readonly account: string;
  readonly username: string;
  /** Of the account when the ceremony began. */
  readonly epoch: number;
}
export type Purpose = 'register' | 'sign-in' | 'confirm';

/** Reads; changes go through the recorder. */
export interface PasskeyStore {
  /** Oldest first. */
  listPasskeys(account: string): Promise<readonly Passkey[]>;
  /**
   * `ref`: SHA-256 of the challenge in hex. A challenge that is shown is used up, whatever comes of it, on every
   * replica. Null for one that is unknown, older than five minutes, of another purpose or of another session.
   */
  takeChallenge(ref: string, purpose: Purpose, session: string | null): Promise<Ceremony | null>;
}

/** Whose passkeys these are: the host in `id` alone can ask for them, from the pages of `origin`. */
export interface RelyingParty {
  readonly id: string;
  readonly origin: string;
}

/**
 * WebAuthn, sections 7.1 and 7.2, for one relying party. The user MUST have been verified, the page MUST be our own and
 * in no frame, and the challenge exactly this one.
 */
export interface PasskeyVerifier {
  relyingParty(): RelyingParty;
  /** The counter after this use. @throws AssertionRefused */
  checkAssertion(assertion: Assertion, challenge: string, passkey: Passkey): Promise<number>;
  /** No word of the maker is asked for or believed. @throws AssertionRefused */
  checkAttestation(attestation: Attestation, challenge: string): Promise<NewPasskey>;
}

/** Why an authenticator's answer is not taken. For the record: the caller is told nothing of it. */
export class AssertionRefused extends Error {
  override readonly name = 'AssertionRefused';
  readonly code: 'assertion_invalid' | 'unknown_passkey' | 'counter_regressed' | 'challenge_gone';

  constructor(code: AssertionRefused['code'], cause?: unknown) {
    super(code, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** What the change is told of a good assertion: it counts there, under the lock, a second time. */
export interface PasskeyUse {
  readonly id: string;
  readonly count: number;
}

/** Checks an answer against the passkeys of one account. @throws AssertionRefused */
export async function usePasskey(
  { passkeys, verifier }: { readonly passkeys: PasskeyStore; readonly verifier: PasskeyVerifier },
  account: string,
  assertion: Assertion,
  challenge: string,
): Promise<PasskeyUse> {
  const known = await passkeys.listPasskeys(account);
  const passkey = known.find(({ credentialId }) => base64url(credentialId) === assertion.id);
  const { userHandle } = assertion.response;
  if (passkey === undefined || (userHandle && userHandle !== userHandleOf(account)))
    throw new AssertionRefused('unknown_passkey');
  return { id: passkey.id, count: await verifier.checkAssertion(assertion, challenge, passkey) };
}

/** The challenge that a client says it has answered: only to look it up. Null for what is no client data. */
export function challengeIn({ response }: Assertion | Attestation): string | null {
  try {
    const { challenge } = JSON.parse(Buffer.from(response.clientDataJSON, 'base64url').toString('utf8'));
    return typeof challenge === 'string' && challenge.length <= 128 ? challenge : null;
  } catch {
    return null;
  }
}

/** What a passkey signs to confirm one operation: an answer for another one, or another challenge, is another text. */
export const stepUpChallenge = (challenge: string, digest: string): string =>
  createHash('sha256').update(`strongroom step-up\n${challenge}\n${digest}`).digest('base64url');

/** Milliseconds that a browser waits for its user. */
const TIMEOUT = 240_000;
/** EdDSA, ES256, RS256 (RFC 9053): what authenticators of these years have. */
export const ALGORITHMS = [-8, -7, -257] as const;

/** `PublicKeyCredentialRequestOptionsJSON` */
export const requestOptions = ({ id }: RelyingParty, challenge: string, passkeys: readonly Passkey[]) => ({
  challenge,
  timeout: TIMEOUT,
  rpId: id,
  allowCredentials: passkeys.map(descriptorOf),
  userVerification: 'required' as const,
});

/** `PublicKeyCredentialCreationOptionsJSON` */
export const creationOptions = (
  { id }: RelyingParty,
  challenge: string,
  user: { readonly id: string; readonly name: string },
  passkeys: readonly Passkey[],
) => ({
  rp: { id, name: 'Strongroom' },
  user: { id: userHandleOf(user.id), name: user.name, displayName: user.name },
  challenge,
  pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key' as const, alg })),
  timeout: TIMEOUT,
  excludeCredentials: passkeys.map(descriptorOf),
  authenticatorSelection: { residentKey: 'preferred' as const, userVerification: 'required' as const },
  attestation: 'none' as const,
});

export type RequestOptions = ReturnType<typeof requestOptions>;
export type CreationOptions = ReturnType<typeof creationOptions>;

const descriptorOf = ({ credentialId, transports }: Passkey) => ({
  type: 'public-key' as const,
  id: base64url(credentialId),
  transports: [...transports],
});

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
/** The account's opaque id: an authenticator may show it to whoever holds it. */
const userHandleOf = (account: string): string => Buffer.from(account).toString('base64url');
