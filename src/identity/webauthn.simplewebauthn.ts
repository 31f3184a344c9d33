import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';
import { decodeAttestationObject } from '@simplewebauthn/server/helpers';
import {
  ALGORITHMS,
  type Assertion,
  AssertionRefused,
  type Attestation,
  type PasskeyVerifier,
  type RelyingParty,
} from './webauthn.ts';

/** `publicUrl`: where browsers find us. Its host is the relying party, its origin the only one that may ask. */
export function passkeyVerifier(publicUrl: () => string): PasskeyVerifier {
  const relyingParty = (): RelyingParty => {
    const { hostname, origin } = new URL(publicUrl());
    return { id: hostname, origin };
  };
  const expected = (challenge: string) => {
    const { id, origin } = relyingParty();
    return { expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: id, requireUserVerification: true };
  };
  return {
    relyingParty,
    checkAssertion: async (assertion, challenge, passkey) => {
      const { credentialId, publicKey, signCount } = passkey;
      const result = await refusing(async () => {
        refuseFrames(assertion);
        return verifyAuthenticationResponse({
          ...expected(challenge),
          response: {
            ...assertion,
            response: withoutHandle(assertion.response),
            clientExtensionResults: {},
          },
          // Counted below, so that the record can tell a copied authenticator from a forged answer.
          credential: {
            id: Buffer.from(credentialId).toString('base64url'),
            publicKey: new Uint8Array(publicKey),
            counter: 0,
          },
        });
      });
      if (!result.verified) throw new AssertionRefused('assertion_invalid');
      const count = result.authenticationInfo.newCounter;
      if (count <= signCount && signCount > 0) throw new AssertionRefused('counter_regressed');
      return count;
    },
    checkAttestation: async (attestation, challenge) => {
      const result = await refusing(async () => {
        refuseFrames(attestation);
        refuseMakersWord(attestation);
        return verifyRegistrationResponse({
          ...expected(challenge),
          response: { ...attestation, response: withoutTransports(attestation.response), clientExtensionResults: {} },
          supportedAlgorithmIDs: [...ALGORITHMS],
        });
      });
      if (!result.verified) throw new AssertionRefused('assertion_invalid');
      const { id, publicKey, counter } = result.registrationInfo.credential;
      if (id !== attestation.id) throw new AssertionRefused('assertion_invalid');
      const transports = attestation.response.transports ?? [];
      return { credentialId: Buffer.from(id, 'base64url'), publicKey, signCount: counter, transports };
    },
  };
}

/** Whose credential it is has been looked up by then. */
const withoutHandle = ({ clientDataJSON, authenticatorData, signature }: Assertion['response']) => ({
  clientDataJSON,
  authenticatorData,
  signature,
});
/** Hints for browsers: nothing rests on them. */
const withoutTransports = ({ clientDataJSON, attestationObject }: Attestation['response']) => ({
  clientDataJSON,
  attestationObject,
});

/** The library throws for whatever is not as it should be, malformed CBOR included. */
async function refusing<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (cause) {
    throw new AssertionRefused('assertion_invalid', cause);
  }
}

/** The library takes an answer out of a frame of another site where the browser does not name that site. */
function refuseFrames({ response }: Assertion | Attestation): void {
  const { crossOrigin, topOrigin } = JSON.parse(Buffer.from(response.clientDataJSON, 'base64url').toString('utf8'));
  if (crossOrigin || topOrigin) throw new Error('the answer comes from a frame');
}

/**
 * Attestation `none` was asked for: certificates are not looked at, since checking them would make the gateway call
 * addresses that stand in them. A self-signature, which browsers leave in, says nothing of a maker.
 */
function refuseMakersWord({ response }: Attestation): void {
  const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(response.attestationObject, 'base64url')));
  const format = decoded.get('fmt');
  if (format === 'none' || (format === 'packed' && decoded.get('attStmt').get('x5c') === undefined)) return;
  throw new Error(`attestation ${format} was not asked for`);
}
