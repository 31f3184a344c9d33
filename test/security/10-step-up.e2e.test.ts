import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Session, TestGateway } from '../harness/gateway.ts';

const PASSWORD = 'correct horse battery';

describe('promise 10: a change needs a fresh second factor that is bound to it', () => {
  let test: TestGateway;
  let admin: Session;

  before(async () => {
    test = await TestGateway.open({ models: {} });
    admin = await test.signIn('admin');
  });
  after(() => test[Symbol.asyncDispose]());

  const body = (next = PASSWORD) => ({ current_password: test.account('admin').password, new_password: next });
  const change = (session: Session, content: object | string, proof?: string, path = '/auth/password') =>
    test.client.request('POST', path, {
      ...(typeof content === 'string' ? { raw: content } : { body: content }),
      headers: { ...session.bearer, ...(proof === undefined ? {} : { 'step-up-proof': proof }) },
    });
  const prove = (session: Session, challenge: string, code: string) =>
    test.client.post('/auth/step-up', { challenge, code }, session.bearer);

  async function challengeFor(session: Session, content: object | string, path?: string): Promise<string> {
    const answer = await change(session, content, undefined, path);
    assert.deepEqual([answer.status, answer.code], [401, 'step_up_required']);
    return String(answer.json()['challenge']);
  }
  async function proofFor(session: Session, content: object | string, path?: string): Promise<string> {
    // Every test guesses on purpose; that guesses are bounded is promise 9.
    await test.database.sql('DELETE FROM guess');
    const proved = await prove(session, await challengeFor(session, content, path), await test.code());
    assert.equal(proved.status, 200, proved.text);
    return String(proved.json()['proof']);
  }
  const assertAskedAgain = async (answer: ReturnType<typeof change>) =>
    assert.deepEqual([(await answer).status, (await answer).code], [401, 'step_up_required']);

  it('is asked for as RFC 9470 says, with a sentence of the server’s own', async () => {
    const answer = await change(admin, body());
    assert.equal(
      answer.headers['www-authenticate'],
      'Bearer error="insufficient_user_authentication", acr_values="urn:strongroom:acr:otp", max_age="0"',
    );
    assert.match(String(answer.json()['operation']), /password of admin/);
    assert.match(String(answer.json()['challenge']), /^suc_/);
  });

  it('is not given for a wrong code, nor for one that is used, and is gone after five', async () => {
    const challenge = await challengeFor(admin, body());
    await test.code();
    assert.equal((await prove(admin, challenge, test.sameCode())).status, 200);
    const other = await challengeFor(admin, body());
    const used = await prove(admin, other, test.sameCode());
    assert.deepEqual([used.code, typeof used.headers['retry-after']], ['code_used', 'string']);
    for (let guess = 1; guess <= 5; guess++)
      assert.equal((await prove(admin, other, '00000000')).code, 'invalid_credentials');
    assert.equal((await prove(admin, other, await test.code())).status, 404);
  });

  it('answers the challenge of one session only', async () => {
    const challenge = await challengeFor(admin, body());
    const other = await test.signIn('admin');
    assert.equal((await prove(other, challenge, await test.code())).status, 404);
    assert.equal((await prove(await test.signIn('analyst'), challenge, '123456')).status, 404);
  });

  it('is good for those bytes of that body, on that route, and stays unspent where it is refused', async () => {
    const proof = await proofFor(admin, body());
    await assertAskedAgain(change(admin, body('another password'), proof));
    await assertAskedAgain(change(admin, `${JSON.stringify(body())} `, proof));
    await assertAskedAgain(change(admin, body(), proof, '/auth/password?x=1'));
    await assertAskedAgain(change(admin, body(), `${proof}x`));
    await assertAskedAgain(change(admin, body(), ''));
    // What it is good for gets past the factor: here the password is what is wrong.
    const wrong = { ...body(), current_password: 'wrong' };
    const good = await proofFor(admin, wrong);
    assert.equal((await change(admin, wrong, good)).code, 'invalid_credentials');
    await assertAskedAgain(change(admin, wrong, good));
  });

  it('is not good in another session of the same user', async () => {
    const wrong = { ...body(), current_password: 'wrong' };
    const proof = await proofFor(admin, wrong);
    const other = await test.signIn('admin');
    await assertAskedAgain(change(other, wrong, proof));
    assert.equal((await change(admin, wrong, proof)).code, 'invalid_credentials', 'it was not spent there');
  });

  it('runs out after 120 s by the database’s clock', async () => {
    const wrong = { ...body(), current_password: 'wrong' };
    const proof = await proofFor(admin, wrong);
    await test.database.sql("UPDATE step_up_challenge SET proof_until = proof_until - interval '120 s'");
    await assertAskedAgain(change(admin, wrong, proof));
  });

  it('shown by 20 requests at once it serves one of them', async () => {
    const wrong = { ...body(), current_password: 'wrong' };
    const proof = await proofFor(admin, wrong);
    const answers = await Promise.all(Array.from({ length: 20 }, () => change(admin, wrong, proof)));
    assert.equal(answers.filter(({ code }) => code === 'invalid_credentials').length, 1);
    assert.equal(answers.filter(({ code }) => code === 'step_up_required').length, 19);
  });

  it('and with it the change is made, once', async () => {
    const proof = await proofFor(admin, body());
    assert.equal((await change(admin, body(), proof)).status, 204);
    assert.equal((await change(admin, body(), proof)).status, 401, 'the session has ended with the old password');
    await test.signIn('admin', PASSWORD);
  });

  it('is recorded: challenge, proof and what was done with it', async () => {
    const rows = await test.database.sql<{ action: string }>('SELECT DISTINCT action FROM entry');
    const actions = rows.map(({ action }) => action);
    for (const action of ['step_up.challenge', 'step_up.prove', 'password.set']) assert.ok(actions.includes(action));
  });
});
