import type { Assertion, Attestation, CreationOptions, RequestOptions } from '#identity/webauthn.contract.ts';
import { Refusal } from './refusal.ts';

/** The browser's own dialog for a new passkey. @throws Refusal `passkey_failed`, `passkey_known` */
export const createPasskey = (options: CreationOptions): Promise<Attestation> =>
  ask(() =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON),
    }),
  );

/** The browser's own dialog for a passkey that is there. @throws Refusal `passkey_failed` */
export const answerWithPasskey = (options: RequestOptions): Promise<Assertion> =>
  ask(() =>
    navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON),
    }),
  );

/** Whatever went wrong, browsers tell no more than that, on purpose: a page must not learn which passkeys there are. */
async function ask<T>(dialog: () => Promise<Credential | null>): Promise<T> {
  let credential: Credential | null;
  try {
    credential = await dialog();
  } catch (error) {
    const known = error instanceof DOMException && error.name === 'InvalidStateError';
    throw new Refusal(known ? 'passkey_known' : 'passkey_failed');
  }
  if (!(credential instanceof PublicKeyCredential)) throw new Refusal('passkey_failed');
  return credential.toJSON() as T;
}
