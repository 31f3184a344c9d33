import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { hash } from '@node-rs/argon2';
import { argon2Hasher } from '#identity/password.argon2.ts';
import { present, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, newPerson, PASSWORD, type Person, signIn, stepped, withFactor } from './people.ts';

const WEAK = { memoryCost: 8192, timeCost: 1, parallelism: 1, outputLen: 32 } as const;

describe('passwords that were hashed with weaker parameters', () => {
  let test: TestGateway;
  let other: TestGateway;
  let person: Person;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    other = await test.replica({ models: {} });
    person = await newPerson(test, await firstAdmin(test), { username: 'mei', roles: ['analyst'] });
  });
  after(async () => {
    await other[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(test));

  const weaken = async () =>
    test.database.sql('UPDATE account SET password_hash = $2 WHERE id = $1', [
      person.subject,
      await hash(PASSWORD, WEAK),
    ]);
  const stored = async () =>
    present(
      (
        await test.database.sql<{ h: string; epoch: string }>(
          'SELECT password_hash AS h, epoch FROM account WHERE id = $1',
          [person.subject],
        )
      )[0],
    );
  const rehashes = async () =>
    (
      await test.database.sql<{ outcome: string }>(
        "SELECT outcome FROM entry WHERE action = 'password.rehash' ORDER BY seq",
      )
    ).map(({ outcome }) => outcome);

  it('are told from those of today', async () => {
    const hasher = argon2Hasher();
    assert.equal(hasher.isCurrent(await hasher.hash('x')), true);
    const now = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
    for (const change of [{ memoryCost: 19_455 }, { timeCost: 1 }])
      assert.equal(hasher.isCurrent(await hash('x', { ...now, ...change })), false);
    assert.equal(hasher.isCurrent(await hash('x', { ...now, timeCost: 3 })), true, 'stronger is not weaker');
    for (const odd of ['', '$argon2i$v=19$m=99999,t=9,p=9$a$b', '$argon2id$v=16$m=99999,t=9,p=9$a$b', '$2b$12$x'])
      assert.equal(hasher.isCurrent(odd), false);
  });

  it('are hashed again at the next sign-in, once, on the record; sessions stay', async () => {
    const before = await stored();
    await weaken();
    assert.ok(!(await argon2Hasher().isCurrent((await stored()).h)));
    await signIn(test, person);
    const after = await stored();
    assert.equal(argon2Hasher().isCurrent(after.h), true);
    assert.equal(after.epoch, before.epoch);
    assert.deepEqual(await rehashes(), ['completed']);
    assert.equal(
      (await other.client.get('/auth/session', person.bearer)).status,
      200,
      'the session from before goes on',
    );
    await signIn(test, person);
    assert.equal((await stored()).h, after.h);
    assert.deepEqual(await rehashes(), ['completed']);
  });

  it('are not touched by a wrong password', async () => {
    await weaken();
    const { h } = await stored();
    await test.client.post('/auth/login', { username: person.username, password: 'not the password' });
    assert.equal((await stored()).h, h);
  });

  it('of two sign-ins at once over two gateways one changes it', async () => {
    await weaken();
    const before = await rehashes();
    await Promise.all([signIn(test, person), signIn(other, person)]);
    assert.equal(argon2Hasher().isCurrent((await stored()).h), true);
    assert.equal((await rehashes()).slice(before.length).filter((outcome) => outcome === 'completed').length, 1);
    await signIn(other, person);
  });
});

describe('profile mlps3: a password is changed every 90 days', () => {
  const STRONG = 'Green lamp over 42 rivers!';
  let test: TestGateway;
  let admin: Person;
  before(async () => {
    test = await TestGateway.open({ models: {}, identity: { passwordProfile: 'mlps3' } });
    admin = await firstAdmin(test);
  });
  after(() => test[Symbol.asyncDispose]());
  beforeEach(() => forgetGuesses(test));

  const person = async (username: string) => {
    const made = await stepped(test, admin, {
      method: 'POST',
      path: '/admin/users',
      body: { username, roles: ['analyst'] },
    });
    const token = made.json<{ enrolment: { url: string } }>().enrolment.url.split('/enrol/')[1];
    assert.equal((await test.client.post('/auth/enrol', { token, password: STRONG })).status, 200);
    return signIn(test, { username, password: STRONG, secret: null });
  };
  const age = (who: Person, interval: string) =>
    test.database.sql('UPDATE account SET password_changed_at = now() - $2::interval WHERE id = $1', [
      who.subject,
      interval,
    ]);
  const must = async (who: Person) =>
    (await test.client.get('/auth/session', who.bearer)).json<{ user: { must_change_password: boolean } }>().user
      .must_change_password;

  it('not before: 89 days and 23 hours restrict nothing', async () => {
    const who = await person('early');
    await age(who, '89 days 23 hours');
    const again = await signIn(test, who);
    assert.equal(await must(again), false);
    assert.equal((await test.client.get('/v1/models', again.bearer)).status, 200);
  });

  it('after it a session may change the password and nothing else, which is on the record', async () => {
    const who = await person('late');
    await age(who, '90 days 1 second');
    const login = await test.client.post('/auth/login', { username: 'late', password: STRONG });
    assert.equal(login.json<{ user: { must_change_password: boolean } }>().user.must_change_password, true);
    const late = { ...who, bearer: { authorization: `Bearer ${login.json<{ token: string }>().token}` } };
    assert.equal(await must(late), true);
    for (const [method, path, body] of [
      ['GET', '/v1/models', undefined],
      ['POST', '/auth/keys', { name: 'k', password: STRONG }],
      ['POST', '/auth/totp/enrol', { password: STRONG }],
      ['GET', '/v1/usage', undefined],
    ] as const) {
      const answer = await test.client.request(method, path, { headers: late.bearer, ...(body ? { body } : {}) });
      assert.equal(answer.status, 403, `${method} ${path}`);
    }
    const [row] = await test.database.sql<{ outcome: string }>(
      "SELECT outcome FROM entry WHERE action = 'password.expired' AND actor = $1",
      [who.subject],
    );
    assert.equal(row?.outcome, 'restricted');
    const change = { current_password: STRONG, new_password: 'Blue kite under 17 roofs!' };
    assert.equal((await test.client.post('/auth/password', change, late.bearer)).status, 204);
    const fresh = await signIn(test, { username: 'late', password: change.new_password, secret: null });
    assert.equal(await must(fresh), false);
    assert.equal((await test.client.get('/v1/models', fresh.bearer)).status, 200);
  });

  it('with a second factor the change needs its code as ever', async () => {
    const { person: who } = await withFactor(test, await person('strong'));
    await age(who, '1 year');
    const late = await signIn(test, who);
    const body = { current_password: STRONG, new_password: 'Blue kite under 17 roofs!' };
    assert.equal((await test.client.post('/auth/password', body, late.bearer)).code, 'step_up_required');
    assert.equal((await stepped(test, late, { method: 'POST', path: '/auth/password', body })).status, 204);
  });

  it('a session that was opened before goes on, twelve hours at most', async () => {
    const who = await person('open');
    await age(who, '1 year');
    assert.equal(await must(who), false);
  });
});

describe('profile nist: a password does not grow old', () => {
  it('a year changes nothing', async () => {
    await using test = await TestGateway.open({ models: {} });
    const { username, password } = test.account('analyst');
    await test.database.sql("UPDATE account SET password_changed_at = now() - interval '1 year'");
    const who = await signIn(test, { username, password, secret: null });
    assert.equal((await test.client.get('/v1/models', who.bearer)).status, 200);
  });
});
