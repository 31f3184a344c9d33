import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import {
  codeOf,
  enrol,
  firstAdmin,
  forgetGuesses,
  invite,
  linkOf,
  newPerson,
  PASSWORD,
  type Person,
  signIn,
  stepped,
  withFactor,
  wrongCode,
} from './people.ts';
import { routeTable } from './route-table.ts';

/** What a session may do whose account owes a second factor. */
const ALLOWED = [
  'auth.session',
  'auth.logout',
  'auth.totp.enrol',
  'auth.totp.activate',
  'auth.passkeys.begin',
  'auth.passkeys.register',
  'auth.sessions',
  'auth.sessions.end',
];

describe('enrolment', () => {
  let test: TestGateway;
  let admin: Person;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    admin = await firstAdmin(test);
  });
  after(() => test[Symbol.asyncDispose]());
  beforeEach(() => forgetGuesses(test));

  const login = (username: string, password: string, code?: string) =>
    test.client.post('/auth/login', { username, password, ...(code === undefined ? {} : { code }) });
  const reset = (id: string) => stepped(test, admin, { method: 'POST', path: `/admin/users/${id}/reset` });

  it('a link is 256 bits, stands in the fragment, and is stored as a hash', async () => {
    const { link } = await invite(test, admin, { username: 'ada', roles: ['analyst'] });
    assert.match(link, /^sre_[A-Za-z0-9_-]{43}$/);
    const [stored] = await test.database.sql<{ n: string }>(
      `SELECT count(*) FILTER (WHERE ref = encode(sha256(convert_to($1, 'UTF8')), 'hex'))::text AS n FROM enrolment`,
      [link],
    );
    assert.equal(stored?.n, '1');
    for (const table of ['enrolment', 'entry', 'account', 'step_up_challenge', 'dedupe'])
      assert.deepEqual(
        await test.database.sql(`SELECT 1 FROM ${table} t WHERE t::text LIKE '%' || $1 || '%'`, [link]),
        [],
      );
  });

  it('works once, of eight at once', async () => {
    const { link, username } = await invite(test, admin, { username: 'bea', roles: ['analyst'] });
    assert.equal((await login(username, PASSWORD)).code, 'invalid_credentials');
    const passwords = Array.from({ length: 8 }, (_, n) => `${PASSWORD} ${n}`);
    const answers = await Promise.all(passwords.map((password) => enrol(test, link, password)));
    const won = answers.findIndex(({ status }) => status === 200);
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map((_, n) => (n === won ? 200 : 404)),
    );
    assert.equal((await login(username, present(passwords[won]))).status, 200);
    assert.equal((await enrol(test, link, PASSWORD)).code, 'not_found');
  });

  it('holds for 24 hours by the clock of the database', async () => {
    const { link, id } = await invite(test, admin, { username: 'cleo', roles: ['analyst'] });
    const older = (interval: string) =>
      test.database.sql(
        `UPDATE enrolment SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval
         WHERE account_id = $1`,
        [id, interval],
      );
    const [span] = await test.database.sql<{ hours: number }>(
      'SELECT extract(epoch FROM expires_at - created_at)::float8 / 3600 AS hours FROM enrolment WHERE account_id = $1',
      [id],
    );
    assert.equal(span?.hours, 24);
    await older('24 hours');
    assert.equal((await enrol(test, link)).code, 'not_found');
    await older('-1 minute');
    assert.equal((await enrol(test, link)).status, 200);
  });

  it('a reset ends older links, the password and the factor; so does a second reset', async () => {
    const { link, id, username } = await invite(test, admin, { username: 'dora', roles: ['analyst'] });
    const links = [link];
    for (let n = 0; n < 2; n++) {
      const answer = await reset(id);
      assert.equal(answer.status, 200);
      links.push(linkOf(answer.json<{ enrolment: { url: string } }>().enrolment.url));
    }
    for (const old of links.slice(0, 2)) assert.equal((await enrol(test, old)).code, 'not_found');
    assert.equal((await enrol(test, present(links[2]))).status, 200);
    const person = await withFactor(test, await signIn(test, { username, password: PASSWORD, secret: null }));
    await reset(id);
    assert.equal((await test.client.get('/auth/session', person.person.bearer)).status, 401);
    assert.equal((await login(username, PASSWORD, codeOf(present(person.person.secret)))).code, 'invalid_credentials');
    const [left] = await test.database.sql(
      'SELECT (SELECT count(*) FROM recovery_code WHERE account_id = $1)::int AS codes, totp_secret FROM account WHERE id = $1',
      [id],
    );
    assert.deepEqual(left, { codes: 0, totp_secret: null });
  });

  it('a refused password leaves the link good', async () => {
    const { link } = await invite(test, admin, { username: 'emma', roles: ['analyst'] });
    for (const password of ['short', 'password1234567', 'my name is emma, hello', 'strongroom strongroom'])
      assert.equal((await enrol(test, link, password)).code, 'invalid_parameter', password);
    assert.equal((await enrol(test, link)).status, 200);
  });

  it('a password is taken exactly as typed: spaces around it, capitals, forms of Unicode, 128 owls', async () => {
    const composed = 'caf\u00e9 an der Br\u00fccke 7';
    for (const [n, password] of ['  green lamp, 42 rivers ', composed, '🦉🦊🐻🐼🐨🐨🐯🦁'.repeat(16)].entries()) {
      const { link, username } = await invite(test, admin, { username: `flo${n}`, roles: ['analyst'] });
      assert.equal((await enrol(test, link, password)).status, 200, password);
      assert.equal((await login(username, password)).status, 200, password);
      for (const other of [password.trim(), password.toUpperCase(), password.normalize('NFD'), password.slice(0, -2)])
        if (other !== password) assert.equal((await login(username, other)).code, 'invalid_credentials', other);
    }
  });

  it('an admin may have eight characters, an analyst fifteen: he has no second factor', async () => {
    const short = 'tea & 9x';
    const chief = await invite(test, admin, { username: 'gus', roles: ['admin'] });
    const clerk = await invite(test, admin, { username: 'hal', roles: ['analyst'] });
    const answer = await enrol(test, chief.link, short);
    assert.deepEqual(answer.json(), { username: 'gus', must_enrol: true });
    assert.equal((await enrol(test, clerk.link, short)).code, 'invalid_parameter');
  });

  it('who must set up a second factor can do nothing else, over the whole route table', async () => {
    const person = await newPerson(test, admin, { username: 'ida', roles: ['admin', 'analyst', 'auditor'] });
    const session = await test.client.get('/auth/session', person.bearer);
    assert.equal(session.json<{ user: { must_enrol: boolean } }>().user.must_enrol, true);
    const table = (await routeTable(test, () => undefined)).filter(({ isPublic }) => !isPublic);
    assert.ok(table.length > 25, `only ${table.length} routes`);
    for (const { id, method, path, body } of table.filter(({ id }) => !ALLOWED.includes(id))) {
      const options = { headers: person.bearer, ...(body === undefined ? {} : { body }) };
      const answer = await test.client.request(method, path, options);
      assert.ok(
        answer.status === 403 || answer.code === 'model_not_found' || path === '/v1/models',
        `${id}: ${answer.text}`,
      );
      if (path === '/v1/models') assert.equal(answer.status, 403);
    }
    const { person: free } = await withFactor(test, person);
    assert.equal((await test.client.get('/admin/users', free.bearer)).status, 200);
  });

  it('a factor needs the password, and a good code of the newest secret', async () => {
    const person = await newPerson(test, admin, { username: 'jo', roles: ['admin'] });
    const begin = (password?: string) => test.client.post('/auth/totp/enrol', { password }, person.bearer);
    const activate = (code: string) => test.client.post('/auth/totp/activate', { code }, person.bearer);
    assert.equal((await activate('123456')).code, 'conflict');
    assert.equal((await begin()).code, 'schema_invalid');
    assert.equal((await begin('wrong')).code, 'invalid_credentials');
    const [older, newer] = [await begin(PASSWORD), await begin(PASSWORD)].map(
      (answer) => answer.json<{ secret: string }>().secret,
    ) as [string, string];
    assert.notEqual(older, newer);
    for (const code of [wrongCode(newer), codeOf(older)])
      assert.equal((await activate(code)).code, 'invalid_credentials');
    assert.equal((await login('jo', PASSWORD)).status, 200, 'nothing is asked before it is active');
    const answer = await activate(codeOf(newer));
    assert.equal(answer.status, 200);
    assert.equal((await test.client.get('/auth/session', person.bearer)).status, 401);
    assert.equal((await login('jo', PASSWORD)).code, 'code_required');
    assert.equal((await login('jo', PASSWORD, codeOf(older))).code, 'invalid_credentials');
  });

  it('activation is bounded: five wrong codes', async () => {
    const person = await newPerson(test, admin, { username: 'kay', roles: ['admin'] });
    const begun = await test.client.post('/auth/totp/enrol', { password: PASSWORD }, person.bearer);
    const { secret } = begun.json<{ secret: string }>();
    const codes: (string | undefined)[] = [];
    for (let n = 0; n < 6; n++)
      codes.push((await test.client.post('/auth/totp/activate', { code: wrongCode(secret) }, person.bearer)).code);
    assert.deepEqual(codes, [...Array(5).fill('invalid_credentials'), 'too_many_attempts']);
    const good = await test.client.post('/auth/totp/activate', { code: codeOf(secret) }, person.bearer);
    assert.equal(good.code, 'too_many_attempts');
  });

  it('ten recovery codes, each good once, two at once too; new ones end the old', async () => {
    const { person, recoveryCodes } = await withFactor(
      test,
      await newPerson(test, admin, { username: 'lea', roles: ['admin'] }),
    );
    assert.equal(recoveryCodes.length, 10);
    assert.equal(new Set(recoveryCodes).size, 10);
    for (const [n, code] of recoveryCodes.slice(0, 9).entries()) {
      const typed = n % 2 ? code.toUpperCase() : code;
      const both = await Promise.all([login('lea', PASSWORD, typed), login('lea', PASSWORD, typed)]);
      assert.deepEqual(both.map(({ status }) => status).toSorted(), [200, 401]);
      assert.equal((await login('lea', PASSWORD, code)).code, 'invalid_credentials');
      await forgetGuesses(test);
    }
    const begun = await stepped(test, person, { method: 'POST', path: '/auth/totp/enrol', body: {} });
    const code = codeOf(begun.json<{ secret: string }>().secret);
    const again = await test.client.post('/auth/totp/activate', { code }, person.bearer);
    assert.equal(again.status, 200, again.text);
    const fresh = again.json<{ recovery_codes: string[] }>().recovery_codes;
    assert.equal((await login('lea', PASSWORD, present(recoveryCodes[9]))).code, 'invalid_credentials');
    assert.equal((await login('lea', PASSWORD, present(fresh[0]))).status, 200);
  });

  it('a recovery code is no step-up', async () => {
    const { person, recoveryCodes } = await withFactor(
      test,
      await newPerson(test, admin, { username: 'max', roles: ['admin'] }),
    );
    const asked = await test.client.request('POST', '/admin/models/x/load', { headers: person.bearer });
    const body = { challenge: asked.json()['challenge'], code: recoveryCodes[0] };
    assert.equal((await test.client.post('/auth/step-up', body, person.bearer)).status, 400);
  });
});
