import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passkeyVerifier } from '#identity/webauthn.simplewebauthn.ts';
import { challengeIn, creationOptions, requestOptions, stepUpChallenge } from '#identity/webauthn.ts';
import { SoftAuthenticator } from '../fakes/authenticator.ts';

const URL = 'https://llm.bank.example:8443';
const CHALLENGE = 'c'.repeat(43);
const verifier = passkeyVerifier(() => URL);
const options = creationOptions(verifier.relyingParty(), CHALLENGE, { id: 'usr_1', name: 'mei' }, []);

test('the relying party is the host of the address that browsers use, the origin with its port', () => {
  assert.deepEqual(verifier.relyingParty(), { id: 'llm.bank.example', origin: URL });
});

test('no certificate of a maker is looked at: the answer is refused before it', async () => {
  for (const format of ['packed', 'tpm', 'fido-u2f', 'android-key', 'apple']) {
    const made = new SoftAuthenticator(URL).create(options, { format });
    await assert.rejects(verifier.checkAttestation(made, CHALLENGE), ({ cause }: Error) =>
      /was not asked for/.test(String(cause)),
    );
  }
  const made = await verifier.checkAttestation(new SoftAuthenticator(URL).create(options), CHALLENGE);
  assert.deepEqual([made.signCount, made.transports], [0, ['usb']]);
});

test('what a step-up signs depends on its challenge and on its operation', () => {
  const texts = [stepUpChallenge('suc_a', '00'), stepUpChallenge('suc_b', '00'), stepUpChallenge('suc_a', '01')];
  assert.match(texts[0] ?? '', /^[\w-]{43}$/);
  assert.equal(new Set(texts).size, 3);
});

test('a challenge is read out of what is JSON, and of nothing else', () => {
  const device = new SoftAuthenticator(URL);
  device.create(options);
  const assertion = device.get(requestOptions(verifier.relyingParty(), CHALLENGE, []));
  assert.equal(challengeIn(assertion), CHALLENGE);
  for (const text of ['', 'x', 'null', '[]', '{"challenge":7}', `{"challenge":"${'x'.repeat(129)}"}`]) {
    const clientDataJSON = Buffer.from(text).toString('base64url');
    assert.equal(challengeIn({ ...assertion, response: { ...assertion.response, clientDataJSON } }), null, text);
  }
});
