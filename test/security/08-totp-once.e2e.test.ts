import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';
import {
  answerChallenge,
  challengeFor,
  codeOf,
  firstAdmin,
  forgetGuesses,
  forgetSteps,
  type Person,
  signIn,
} from '../identity/people.ts';

const count = (answers: readonly Answer[], status: number) => answers.filter((one) => one.status === status).length;
const LOAD = { method: 'POST', path: '/admin/models/demo/load' };

describe('promise 8: a code works once', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let secret: string;

  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    admin = await firstAdmin(a);
    secret = present(admin.secret);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(a);
    await forgetSteps(a);
  });

  const login = (test: TestGateway, code: string) =>
    test.client.post('/auth/login', { username: admin.username, password: admin.password, code });
  const sessions = async () => Number((await a.database.sql('SELECT count(*) FROM session'))[0]?.['count']);

  it('64 parallel sign-ins with one code over two gateways: one session', async () => {
    // The limit on guesses would hide what is tested here: every one of these is judged.
    const [{ body } = { body: '' }] = await a.database.sql<{ body: string }>(
      "SELECT pg_get_functiondef('strongroom.take_guess(text,text)'::regprocedure) AS body",
    );
    await a.database.sql(
      `CREATE OR REPLACE FUNCTION take_guess(p_what text, p_device text) RETURNS integer LANGUAGE sql
       SECURITY DEFINER SET search_path = strongroom, pg_temp AS 'SELECT 0'`,
    );
    try {
      const before = await sessions();
      const code = codeOf(secret);
      const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => login(n % 2 ? a : b, code)));
      assert.equal(count(answers, 200), 1);
      const others = answers.filter(({ status }) => status !== 200);
      assert.deepEqual(new Set(others.map((one) => one.code)), new Set(['code_used']));
      for (const other of others) assert.equal(other.headers['retry-after'], '30');
      assert.equal(await sessions(), before + 1);
    } finally {
      await a.database.sql(body);
    }
  });

  it('with the limit on guesses as it is: one session as well', async () => {
    const before = await sessions();
    const code = codeOf(secret);
    const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => login(n % 2 ? a : b, code)));
    assert.equal(count(answers, 200), 1);
    assert.ok(answers.every(({ code }) => code === undefined || code === 'code_used' || code === 'too_many_attempts'));
    assert.equal(await sessions(), before + 1);
  });

  it('one challenge answered 16 times at once over two gateways: one proof', async () => {
    const { challenge } = await challengeFor(a, admin, LOAD);
    await forgetSteps(a);
    const code = codeOf(secret);
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, n) => answerChallenge(n % 2 ? a : b, admin, challenge, code)),
    );
    assert.equal(count(answers, 200), 1);
  });

  it('a code that opened a session on one gateway steps up nothing on the other, and the other way round', async () => {
    const code = codeOf(secret);
    assert.equal((await login(a, code)).status, 200);
    const { challenge } = await challengeFor(b, admin, LOAD);
    assert.equal((await answerChallenge(b, admin, challenge, code)).code, 'code_used');

    await forgetSteps(a);
    assert.equal((await answerChallenge(b, admin, challenge, code)).status, 200);
    assert.equal((await login(a, code)).code, 'code_used');
  });

  it('a newer code spends the older ones: none works after it, in any order', async () => {
    // The next step's code is within the drift; once it is taken, this step's is over.
    assert.equal((await login(a, codeOf(secret, 1))).status, 200);
    for (const steps of [1, 0, -1]) assert.equal((await login(b, codeOf(secret, steps))).status, 401, `${steps}`);
  });

  it('codes two steps away are wrong, not used', async () => {
    for (const steps of [-3, 3]) assert.equal((await login(a, codeOf(secret, steps))).code, 'invalid_credentials');
    assert.equal((await login(a, codeOf(secret))).status, 200);
  });

  it('the code that activated a factor opens no session', async () => {
    const { username, password } = a.account('analyst');
    const person = await signIn(a, { username, password, secret: null });
    const begun = await a.client.post('/auth/totp/enrol', { password }, person.bearer);
    const code = codeOf(begun.json<{ secret: string }>().secret);
    assert.equal((await a.client.post('/auth/totp/activate', { code }, person.bearer)).status, 200);
    assert.equal((await b.client.post('/auth/login', { username, password, code })).code, 'code_used');
  });
});
