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
  PASSWORD,
  type Person,
  signIn,
  wrongCode,
} from '../identity/people.ts';

type Headers = Readonly<Record<string, string>>;
const codes = (answers: readonly Answer[]) => answers.map(({ code, status }) => code ?? String(status));
const times = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);

describe('promise 9: guessing is bounded per account', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;

  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    admin = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(a);
    await forgetSteps(a);
  });

  const guess = (test: TestGateway, username: string, headers: Headers = {}, password = 'not the password') =>
    test.client.request('POST', '/auth/login', { body: { username, password }, headers });
  const inTurn = async (n: number, one: (n: number) => Promise<Answer>) => {
    const answers: Answer[] = [];
    for (let i = 0; i < n; i++) answers.push(await one(i));
    return answers;
  };

  it('200 sign-ins at once over two gateways: five are judged', async () => {
    const { username } = a.account('auditor');
    // In portions that the cap on Argon2 has room for: this is about the count alone.
    const answers: Answer[] = [];
    for (let n = 0; n < 4; n++)
      answers.push(...(await Promise.all(times(50, 0).map((_, at) => guess(at % 2 ? a : b, username)))));
    assert.deepEqual(codes(answers).toSorted(), [
      ...times(5, 'invalid_credentials'),
      ...times(195, 'too_many_attempts'),
    ]);
    for (const { code, headers } of answers)
      if (code === 'too_many_attempts') assert.match(String(headers['retry-after']), /^([1-9]|[1-5]\d|60)$/);
  });

  it('the right password does not open a locked account, until the lock runs out', async () => {
    const { username, password } = a.account('auditor');
    await inTurn(5, () => guess(a, username));
    assert.equal((await guess(b, username, {}, password)).code, 'too_many_attempts');
    await a.database.sql("UPDATE guess SET locked_until = locked_until - interval '1 minute'");
    assert.equal((await guess(b, username, {}, password)).status, 200);
  });

  it('a name that nobody has gets the same answers, byte for byte', async () => {
    const { username } = a.account('auditor');
    const shape = ({ status, headers, json }: Answer) => {
      const { date: _, 'x-request-id': __, 'retry-after': retry, ...rest } = headers;
      const { request_id: ___, instance: ____, ...body } = json();
      return { status, rest, body: { ...body, retry_after: undefined }, retry: retry === undefined };
    };
    const known = await inTurn(7, () => guess(a, username));
    for (const name of ['nobody', 'NOBODY', `${username} `, "x' OR 1=1 --", '张伟', 'a'.repeat(128)]) {
      const unknown = await inTurn(7, () => guess(a, name));
      assert.deepEqual(unknown.map(shape), known.map(shape), name);
    }
  });

  it('an account that is disabled, or has no password yet, looks like one that is not there', async () => {
    await a.database.sql(
      `INSERT INTO account (id, username, password_hash, roles, created_at, disabled_at)
       SELECT 'usr_gone', 'gone', password_hash, roles, now(), now() FROM account WHERE username = 'auditor'
       UNION ALL SELECT 'usr_new', 'new', NULL, roles, now(), NULL FROM account WHERE username = 'auditor'`,
    );
    const { password } = a.account('auditor');
    for (const name of ['gone', 'new', 'nobody'])
      assert.deepEqual(codes(await inTurn(6, () => guess(a, name, {}, password))), [
        ...times(5, 'invalid_credentials'),
        'too_many_attempts',
      ]);
  });

  it('outsiders do not lock out a device that signed in before; it has a count of its own', async () => {
    const { username, password } = a.account('analyst');
    const first = await guess(a, username, {}, password);
    const cookie = present(first.headers['set-cookie']?.find((one) => one.startsWith('__Host-strongroom-device=')));
    assert.match(cookie, /; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000$/);
    const device = { cookie: present(cookie.split(';', 1)[0]) };

    await inTurn(6, () => guess(a, username));
    assert.equal((await guess(a, username, {}, password)).code, 'too_many_attempts');
    assert.equal((await guess(b, username, device, password)).status, 200);

    assert.deepEqual(codes(await inTurn(6, () => guess(a, username, device))), [
      ...times(5, 'invalid_credentials'),
      'too_many_attempts',
    ]);
    assert.equal((await guess(b, username, device, password)).code, 'too_many_attempts');
  });

  it('a device cookie that was made up, changed or belongs to another account is none', async () => {
    const { username, password } = a.account('analyst');
    const other = a.account('auditor');
    const device = async (who: { username: string; password: string }) => {
      const answer = await guess(a, who.username, {}, who.password);
      const cookies = answer.headers['set-cookie'] ?? [];
      return present(cookies.find((one) => one.includes('device'))?.split(';', 1)[0]);
    };
    const [mine, foreign] = [await device({ username, password }), await device(other)];
    await inTurn(5, () => guess(a, username));
    const [id = '', signature = ''] = mine.split('=')[1]?.split('.') ?? [];
    for (const value of [
      foreign.split('=')[1] ?? '',
      `${id}.`,
      id,
      '.',
      `${id.slice(0, -1)}_.${signature}`,
      `${id}.${signature.slice(0, -1)}`,
      `.${signature}`,
    ]) {
      const headers = { cookie: `__Host-strongroom-device=${value}` };
      assert.equal((await guess(a, username, headers, password)).code, 'too_many_attempts', value);
    }
    assert.equal((await guess(a, username, { cookie: mine }, password)).status, 200);
  });

  it('success clears the count', async () => {
    const { username, password } = a.account('auditor');
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(codes(await inTurn(4, () => guess(a, username))), times(4, 'invalid_credentials'));
      assert.equal((await guess(b, username, {}, password)).status, 200);
    }
  });

  it('a code that was used is no guess, however often', async () => {
    const { username, password, secret } = admin;
    const login = (code: string) => a.client.post('/auth/login', { username, password, code });
    const code = codeOf(present(secret));
    assert.equal((await login(code)).status, 200);
    assert.deepEqual(codes(await inTurn(8, () => login(code))), times(8, 'code_used'));
    await forgetSteps(a);
    assert.equal((await login(codeOf(present(secret)))).status, 200);
  });

  it('a wrong code counts like a wrong password, so does a wrong recovery code', async () => {
    const { username, password, secret } = admin;
    const login = (code: string) => a.client.post('/auth/login', { username, password, code });
    const wrong = [wrongCode(present(secret)), 'aaaa-aaaa-aaaa-aaaa'];
    assert.deepEqual(codes(await inTurn(6, (n) => login(wrong[n % 2] ?? ''))), [
      ...times(5, 'invalid_credentials'),
      'too_many_attempts',
    ]);
    assert.equal((await login(codeOf(present(secret)))).code, 'too_many_attempts');
  });

  it('step-up: five wrong codes, over new challenges, new sessions and both gateways', async () => {
    const secret = present(admin.secret);
    const sessions = [admin, await signIn(a, admin)];
    await forgetGuesses(a);
    const tries = await inTurn(6, async (n) => {
      const [test, who] = [n % 2 ? a : b, present(sessions[n % 2])];
      const { challenge } = await challengeFor(test, who, { method: 'POST', path: `/admin/models/m${n}/load` });
      return answerChallenge(test, who, challenge, wrongCode(secret));
    });
    assert.deepEqual(codes(tries), [...times(5, 'invalid_credentials'), 'too_many_attempts']);
    const { challenge } = await challengeFor(a, admin, { method: 'POST', path: '/admin/models/x/load' });
    await forgetSteps(a);
    assert.equal((await answerChallenge(a, admin, challenge, codeOf(secret))).code, 'too_many_attempts');
    // Sign-in is another count: the thief of a session does not keep its owner out.
    assert.equal((await signIn(b, admin)).username, admin.username);
  });

  it('step-up: 24 wrong codes at once: five are judged; a used one is given back', async () => {
    const secret = present(admin.secret);
    const challenges: string[] = [];
    for (let n = 0; n < 24; n++) {
      const operation = { method: 'POST', path: `/admin/models/p${n}/load` };
      challenges.push((await challengeFor(a, admin, operation)).challenge);
    }
    const answers = await Promise.all(
      challenges.map((challenge, n) => answerChallenge(n % 2 ? a : b, admin, challenge, wrongCode(secret))),
    );
    assert.deepEqual(codes(answers).toSorted(), [
      ...times(5, 'invalid_credentials'),
      ...times(19, 'too_many_attempts'),
    ]);
    await forgetGuesses(a);
    await forgetSteps(a);
    const [first = '', second = ''] = challenges.filter((_, n) => answers[n]?.code === 'too_many_attempts');
    const code = codeOf(secret);
    assert.equal((await answerChallenge(a, admin, first, code)).status, 200);
    assert.deepEqual(codes(await inTurn(8, () => answerChallenge(b, admin, second, code))), times(8, 'code_used'));
  });

  it('the password asked again (key, factor, change) is bounded over all of them together', async () => {
    const { username, password } = a.account('analyst');
    const person = await signIn(a, { username, password, secret: null });
    const wrong = 'not the password';
    const ways = [
      () => a.client.post('/auth/keys', { name: 'k', password: wrong }, person.bearer),
      () => b.client.post('/auth/totp/enrol', { password: wrong }, person.bearer),
      () => b.client.post('/auth/password', { current_password: wrong, new_password: PASSWORD }, person.bearer),
    ];
    const answers = await inTurn(6, (n) => present(ways[n % 3])());
    assert.deepEqual(codes(answers), [...times(5, 'invalid_credentials'), 'too_many_attempts']);
    const right = await a.client.post('/auth/keys', { name: 'k', password }, person.bearer);
    assert.equal(right.code, 'too_many_attempts');
  });
});
