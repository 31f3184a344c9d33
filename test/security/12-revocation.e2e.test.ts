import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import {
  codeOf,
  firstAdmin,
  forgetGuesses,
  newPerson,
  PASSWORD,
  type Person,
  signIn,
  stepped,
  withFactor,
} from '../identity/people.ts';

interface Listed {
  readonly id: string;
  readonly current: boolean;
  readonly factors: readonly string[];
}

describe('promise 12: what ends a session ends it on every replica, at the next request', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let number = 0;

  before(async () => {
    a = await TestGateway.open({ models: {} });
    b = await a.replica({ models: {} });
    admin = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(() => forgetGuesses(a));

  const person = () => newPerson(a, admin, { username: `user-${++number}`, roles: ['analyst'] });
  const look = (test: TestGateway, who: Person) => test.client.get('/auth/session', who.bearer);
  const list = async (who: Person) =>
    (await a.client.get('/auth/sessions', who.bearer)).json<{ data: Listed[] }>().data;
  /** Both gateways know the sessions, so that what they answer afterwards does not come from looking them up. */
  const known = async (...people: Person[]) => {
    for (const test of [a, b])
      for (const who of people) assert.equal((await look(test, who)).status, 200, 'signed in to begin with');
  };
  const ended = async (...people: Person[]) => {
    for (const test of [b, a]) for (const who of people) assert.equal((await look(test, who)).status, 401);
  };
  const twice = async (): Promise<[Person, Person]> => {
    const first = await person();
    const second = await signIn(b, first);
    await known(first, second);
    return [first, second];
  };

  const changes: [string, (who: Person) => Promise<{ status: number; text: string }>][] = [
    [
      'a change of the password',
      (who) =>
        a.client.post('/auth/password', { current_password: PASSWORD, new_password: `${PASSWORD}!` }, who.bearer),
    ],
    [
      'a new factor',
      async (who) => {
        const begun = await a.client.post('/auth/totp/enrol', { password: PASSWORD }, who.bearer);
        const code = codeOf(begun.json<{ secret: string }>().secret);
        return a.client.post('/auth/totp/activate', { code }, who.bearer);
      },
    ],
    ['a change of roles', (who) => change(who, 'PATCH', '', { roles: ['auditor'] })],
    ['a change of attributes', (who) => change(who, 'PATCH', '', { clearance: 3 })],
    ['a disable', (who) => change(who, 'POST', '/disable')],
    ['a reset', (who) => change(who, 'POST', '/reset')],
  ];
  const change = (who: Person, method: string, verb: string, body?: unknown) =>
    stepped(a, admin, { method, path: `/admin/users/${who.subject}${verb}`, ...(body === undefined ? {} : { body }) });

  for (const [name, make] of changes)
    it(`${name} ends all of them`, async () => {
      const both = await twice();
      const answer = await make(both[0]);
      assert.ok(answer.status < 300, answer.text);
      await ended(...both);
    });

  it('a sign-out ends this one and no other', async () => {
    const [first, second] = await twice();
    const answer = await a.client.request('POST', '/auth/logout', { headers: first.bearer });
    assert.match(String(answer.headers['set-cookie']), /^__Host-strongroom=; .*Max-Age=0/);
    await ended(first);
    await known(second);
  });

  it('one sees one’s own sessions, and ends any of them, not another’s', async () => {
    const [first, second] = await twice();
    const sessions = await list(first);
    assert.deepEqual(sessions.map(({ current }) => current).toSorted(), [false, true]);
    assert.deepEqual(sessions[0]?.factors, ['password']);
    assert.ok(!JSON.stringify(sessions).includes(first.token));

    const stranger = await person();
    const theirs = present((await list(stranger))[0]).id;
    const end = (id: string, who: Person) =>
      a.client.request('DELETE', `/auth/sessions/${id}`, { headers: who.bearer });
    assert.equal((await end(theirs, first)).code, 'not_found');
    await known(stranger);

    const other = present(sessions.find(({ current }) => !current)).id;
    assert.equal((await end(other, first)).status, 204);
    await ended(second);
    await known(first);
    assert.equal((await end(other, first)).code, 'not_found');
    assert.deepEqual(
      (await list(first)).map(({ current }) => current),
      [true],
    );
  });

  it('tells which factors a session was opened with', async () => {
    const { person: strong } = await withFactor(a, await person());
    assert.deepEqual((await list(strong))[0]?.factors, ['password', 'totp']);
  });

  it('ends after 30 minutes idle and 12 hours in all, by the clock of the database', async () => {
    const older = (who: Person, column: string, interval: string) =>
      a.database.sql(`UPDATE session SET ${column} = ${column} - $2::interval WHERE account_id = $1`, [
        who.subject,
        interval,
      ]);
    const idle = await person();
    await known(idle);
    await older(idle, 'last_seen_at', '29 minutes 30 seconds');
    await known(idle);
    await older(idle, 'last_seen_at', '30 seconds');
    await ended(idle);
    const long = await person();
    const [span] = await a.database.sql<{ hours: number }>(
      'SELECT extract(epoch FROM expires_at - created_at)::float8 / 3600 AS hours FROM session WHERE account_id = $1',
      [long.subject],
    );
    assert.equal(span?.hours, 12);
    await older(long, 'expires_at', '11 hours 59 minutes');
    await known(long);
    await older(long, 'expires_at', '1 minute');
    await ended(long);
  });

  it('a policy that takes a right away takes it away at once', async () => {
    const who = await person();
    assert.equal((await b.client.get('/v1/models', who.bearer)).status, 200);
    await a.database.sql(
      `INSERT INTO policy_version SELECT version + 1, model, regexp_replace(policy, '(?n)^p, analyst-models.*$', ''),
       'test', 'test', now() FROM policy_version ORDER BY version DESC LIMIT 1`,
    );
    for (const test of [b, a]) assert.equal((await test.client.get('/v1/models', who.bearer)).status, 403);
  });
});
