import assert from 'node:assert/strict';
import { type Lies, SoftAuthenticator } from '../fakes/authenticator.ts';
import { sessionOf, type TestGateway } from '../harness/gateway.ts';
import type { Answer, HttpsClient } from '../harness/https-client.ts';
import { challengeFor, type Operation, type Person, withProof } from './people.ts';

/** Somebody with a passkey. */
export interface KeyHolder extends Person {
  readonly device: SoftAuthenticator;
}

type Client = Pick<HttpsClient, 'post'>;
type Options = Parameters<SoftAuthenticator['get']>[0];

const BEGIN: Operation = { method: 'POST', path: '/auth/webauthn/register/options', body: {} };

/** What a new passkey must answer: with the password, or with a proof where there is a factor already. */
export async function creationOptions(test: TestGateway, who: Person, proof?: string) {
  const answer =
    proof === undefined
      ? await test.client.post(BEGIN.path, { password: who.password }, who.bearer)
      : await withProof(test, who, BEGIN, proof);
  assert.equal(answer.status, 200, answer.text);
  return answer.json<Parameters<SoftAuthenticator['create']>[0]>();
}

export const register = (client: Client, who: Person, attestation: unknown, name = 'Blue key'): Promise<Answer> =>
  client.post('/auth/webauthn/register', { name, attestation }, who.bearer);

/** Registers the first factor of somebody and signs him in with it. */
export async function withPasskey(test: TestGateway, who: Person): Promise<KeyHolder> {
  const device = new SoftAuthenticator(test.url);
  const made = await register(test.client, who, device.create(await creationOptions(test, who)));
  assert.equal(made.status, 201, made.text);
  return enter(test, { ...who, device });
}

/** First the password. */
export async function signInOptions(client: Client, { username, password }: Person): Promise<Options> {
  const answer = await client.post('/auth/webauthn/sign-in/options', { username, password });
  assert.equal(answer.status, 200, answer.text);
  return answer.json<Options>();
}

export const finish = (client: Client, assertion: unknown): Promise<Answer> =>
  client.post('/auth/webauthn/sign-in', { assertion });

export async function enter<P extends KeyHolder>(test: TestGateway, who: P): Promise<P> {
  const answer = await finish(test.client, who.device.get(await signInOptions(test.client, who)));
  assert.equal(answer.status, 200, answer.text);
  return { ...who, ...sessionOf(answer) };
}

/** An assertion for a step-up challenge. */
export async function assertionFor(test: TestGateway, who: KeyHolder, challenge: string, lies: Lies = {}) {
  const options = await test.client.post('/auth/webauthn/step-up', { challenge }, who.bearer);
  assert.equal(options.status, 200, options.text);
  return who.device.get(options.json(), lies);
}

export const prove = (client: Client, who: Person, challenge: string, assertion: unknown): Promise<Answer> =>
  client.post('/auth/step-up', { challenge, assertion }, who.bearer);

/** A proof for one operation, with the passkey. */
export async function keyProof(test: TestGateway, who: KeyHolder, operation: Operation): Promise<string> {
  const { challenge } = await challengeFor(test, who, operation);
  const answer = await prove(test.client, who, challenge, await assertionFor(test, who, challenge));
  assert.equal(answer.status, 200, answer.text);
  return answer.json<{ proof: string }>().proof;
}
