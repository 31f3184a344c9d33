import { generateSync } from 'otplib';
import { present, type Session, sessionOf, type TestGateway } from '../harness/gateway.ts';
import type { Answer, HttpsClient } from '../harness/https-client.ts';

/** Long enough without a second factor, and on no list. */
export const PASSWORD = 'green lamp over 42 rivers';

type Headers = Readonly<Record<string, string>>;

/** Somebody with a session. `secret` is what his authenticator holds. */
export interface Person extends Session {
  readonly username: string;
  readonly password: string;
  readonly secret: string | null;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Headers;
}

/** The code of a secret now, or so many steps of 30 s away. */
export const codeOf = (secret: string, steps = 0): string =>
  generateSync({ strategy: 'totp', secret, epoch: Math.floor(Date.now() / 1000) + 30 * steps });

/** A code that is wrong for this secret now and in the steps around. */
export function wrongCode(secret: string): string {
  const good = new Set([-2, -1, 0, 1, 2].map((steps) => codeOf(secret, steps)));
  return present(['000000', '111111', '222222', '333333', '444444', '555555'].find((code) => !good.has(code)));
}

const send = (client: HttpsClient, { method, path, body, headers }: Operation, more: Headers): Promise<Answer> =>
  client.request(method, path, { ...(body === undefined ? {} : { body }), headers: { ...headers, ...more } });

/** Time moves on faster than 30 s a code here: the steps that were spent are forgotten. */
export const forgetSteps = ({ database }: TestGateway) => database.sql('UPDATE account SET totp_last_step = 0');

/** Locks of earlier tests are none of the next one's business. */
export const forgetGuesses = ({ database }: TestGateway) => database.sql('DELETE FROM guess');

/** Asks for a challenge. @throws where the operation does not ask for a second factor */
export async function challengeFor(
  test: TestGateway,
  who: Person,
  operation: Operation,
): Promise<{ challenge: string; operation: string }> {
  const answer = await send(test.client, operation, who.bearer);
  if (answer.code !== 'step_up_required')
    throw new Error(`${operation.method} ${operation.path}: ${answer.status} ${answer.text}`);
  return answer.json();
}

export const answerChallenge = (test: TestGateway, who: Person, challenge: string, code: string): Promise<Answer> =>
  test.client.post('/auth/step-up', { challenge, code }, who.bearer);

/** A proof for one operation. */
export async function proofFor(test: TestGateway, who: Person, operation: Operation): Promise<string> {
  const { challenge } = await challengeFor(test, who, operation);
  await forgetSteps(test);
  const answer = await answerChallenge(test, who, challenge, codeOf(present(who.secret)));
  if (answer.status !== 200) throw new Error(`step-up: ${answer.status} ${answer.text}`);
  return answer.json<{ proof: string }>().proof;
}

export const withProof = (test: TestGateway, who: Person, operation: Operation, proof: string): Promise<Answer> =>
  send(test.client, operation, { ...who.bearer, 'step-up-proof': proof });

/** The whole way: challenge, code, proof, operation. */
export async function stepped(test: TestGateway, who: Person, operation: Operation): Promise<Answer> {
  return withProof(test, who, operation, await proofFor(test, who, operation));
}

/** Signs in; the code is that of now, unless an earlier one shall be used. */
export async function signIn(
  test: TestGateway,
  { username, password, secret }: { username: string; password: string; secret: string | null },
): Promise<Person> {
  if (secret !== null) await forgetSteps(test);
  const body = { username, password, ...(secret === null ? {} : { code: codeOf(secret) }) };
  const answer = await test.client.post('/auth/login', body);
  if (answer.status !== 200) throw new Error(`sign-in of ${username}: ${answer.status} ${answer.text}`);
  return { ...sessionOf(answer), username, password, secret };
}

/** The admin of the first run. */
export async function firstAdmin(test: TestGateway): Promise<Person> {
  const { username, password, totpSecret } = test.account('admin');
  return signIn(test, { username, password, secret: totpSecret ?? null });
}

export interface Invited {
  readonly id: string;
  readonly username: string;
  readonly link: string;
}

export const linkOf = (url: string): string => present(url.split('/#/enrol/')[1]);

export async function invite(test: TestGateway, admin: Person, values: Record<string, unknown>): Promise<Invited> {
  const answer = await stepped(test, admin, { method: 'POST', path: '/admin/users', body: values });
  if (answer.status !== 201) throw new Error(`invitation: ${answer.status} ${answer.text}`);
  const { user, enrolment } = answer.json<{ user: { id: string; username: string }; enrolment: { url: string } }>();
  return { ...user, link: linkOf(enrolment.url) };
}

export const enrol = (test: TestGateway, token: string, password = PASSWORD): Promise<Answer> =>
  test.client.post('/auth/enrol', { token, password });

/** Invites somebody, lets him choose a password and signs him in, without a second factor. */
export async function newPerson(test: TestGateway, admin: Person, values: Record<string, unknown>): Promise<Person> {
  const { username, link } = await invite(test, admin, values);
  const answer = await enrol(test, link);
  if (answer.status !== 200) throw new Error(`enrolment: ${answer.status} ${answer.text}`);
  return signIn(test, { username, password: PASSWORD, secret: null });
}

/** Sets up a second factor and signs in again with it. */
export async function withFactor(
  test: TestGateway,
  person: Person,
): Promise<{ person: Person; recoveryCodes: readonly string[] }> {
  const begun = await test.client.post('/auth/totp/enrol', { password: person.password }, person.bearer);
  if (begun.status !== 200) throw new Error(`factor: ${begun.status} ${begun.text}`);
  const { secret } = begun.json<{ secret: string }>();
  const activated = await test.client.post('/auth/totp/activate', { code: codeOf(secret) }, person.bearer);
  if (activated.status !== 200) throw new Error(`activation: ${activated.status} ${activated.text}`);
  const { recovery_codes: recoveryCodes } = activated.json<{ recovery_codes: string[] }>();
  return { person: await signIn(test, { ...person, secret }), recoveryCodes };
}
