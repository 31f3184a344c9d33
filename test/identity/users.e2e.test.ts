import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type AuditRecord, eventually, present, TestGateway } from '../harness/gateway.ts';
import { firstAdmin, forgetGuesses, invite, newPerson, type Person, signIn, stepped } from './people.ts';

interface Entry {
  readonly id: string;
  readonly username: string;
  readonly state: string;
  readonly roles: readonly string[];
  readonly attributes: Readonly<Record<string, unknown>>;
}

describe('user management', () => {
  let test: TestGateway;
  let admin: Person;
  before(async () => {
    test = await TestGateway.open({ models: {} });
    admin = await firstAdmin(test);
  });
  after(() => test[Symbol.asyncDispose]());
  beforeEach(() => forgetGuesses(test));

  const list = async () => (await test.client.get('/admin/users', admin.bearer)).json<{ data: Entry[] }>().data;
  const entry = async (id: string) => present((await list()).find((one) => one.id === id));
  const add = (values: object) => stepped(test, admin, { method: 'POST', path: '/admin/users', body: values });
  const change = (id: string, verb: string, body?: object) =>
    stepped(test, admin, {
      method: body === undefined ? 'POST' : 'PATCH',
      path: `/admin/users/${id}${verb}`,
      ...(body === undefined ? {} : { body }),
    });
  /** What the request left on the record beside intent and outcome. */
  const changeOf = async (answer: { headers: NodeJS.Dict<string | string[]> }): Promise<AuditRecord> => {
    const records = await test.records(String(answer.headers['x-request-id']));
    assert.deepEqual(records.map(({ kind }) => kind).toSorted(), ['change', 'intent', 'outcome']);
    return present(records.find(({ kind }) => kind === 'change'));
  };

  it('makes, changes, disables, enables and resets, each on the record with both ids', async () => {
    const made = await add({ username: 'nina', roles: ['analyst'], department: 'risk', clearance: 2, branch: 'north' });
    assert.equal(made.status, 201);
    const { user } = made.json<{ user: Entry }>();
    assert.deepEqual(user.attributes, {
      department: 'risk',
      clearance: 2,
      branch: 'north',
      certifications: [],
    });
    assert.equal(user.state, 'invited');
    const steps: [string, object | undefined, string, string][] = [
      ['', { roles: ['auditor', 'analyst'], department: 'audit' }, 'account.update', 'invited'],
      ['/disable', undefined, 'account.disable', 'disabled'],
      ['/enable', undefined, 'account.enable', 'invited'],
      ['/reset', undefined, 'account.reset', 'invited'],
    ];
    const answers = [made];
    for (const [verb, body, action, state] of steps) {
      const answer = await change(user.id, verb, body);
      assert.equal(answer.status, 200, `${verb}: ${answer.text}`);
      assert.equal((await entry(user.id)).state, state);
      assert.equal((await changeOf(answer)).action, action);
      answers.push(answer);
    }
    assert.deepEqual((await entry(user.id)).attributes, {
      department: 'audit',
      clearance: 2,
      branch: 'north',
      certifications: [],
    });
    for (const answer of answers) {
      const record = await changeOf(answer);
      assert.deepEqual([record.actor, record.resource], [admin.subject, `account:${user.id}`]);
      assert.equal(record.event['address'], '127.0.0.1');
    }
    assert.equal((await changeOf(answers[1] as never)).event['roles'], 'auditor analyst');
  });

  it('writes no name, link or password into any record', async () => {
    const { username, link } = await invite(test, admin, { username: 'very.odd.name', roles: ['analyst'] });
    await test.client.post('/auth/enrol', { token: link, password: 'canary in the coal mine' });
    await test.client.post('/auth/login', { username, password: 'canary in the wrong mine' });
    await test.client.post('/auth/login', { username: 'canary.nobody', password: 'canary in no mine' });
    await signIn(test, { username, password: 'canary in the coal mine', secret: null });
    const found = await test.database.sql("SELECT record FROM entry WHERE record ~ 'very.odd.name|canary|sre_|srs_'");
    assert.deepEqual(found, []);
    const [failed] = await test.database.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM entry WHERE outcome = 'denied' AND record LIKE '%"name_hmac":"%'`,
    );
    assert.equal(failed?.n, 1, 'an unknown name is kept as an HMAC');
  });

  it('a name is given once, whether its account is active, invited or disabled', async () => {
    const { id } = await invite(test, admin, { username: 'olga', roles: ['analyst'] });
    const taken = await add({ username: 'olga', roles: ['analyst'] });
    assert.deepEqual([taken.status, taken.code], [409, 'conflict']);
    await change(id, '/disable');
    assert.equal((await add({ username: 'olga', roles: ['admin'] })).code, 'conflict');
    const two = await Promise.all([invite(test, admin, { username: 'pia', roles: ['analyst'] })]);
    assert.equal(two.length, 1);
    assert.equal((await list()).filter(({ username }) => username === 'olga').length, 1);
  });

  it('refuses names, roles and attributes that are none', async () => {
    for (const change of [
      { username: 'Olga' },
      { username: 'x' },
      { username: 'role:admin' },
      { username: 'a|b' },
      { username: `a${'b'.repeat(64)}` },
      { roles: [] },
      { roles: ['root'] },
      { clearance: 5 },
      { clearance: -1 },
      { clearance: 1.5 },
      { clearance: '2' },
      { department: 'x'.repeat(65) },
    ]) {
      const body = { username: 'quinn', roles: ['analyst'], ...change };
      const answer = await test.client.post('/admin/users', body, admin.bearer);
      assert.ok(answer.status === 400 || answer.status === 422, `${JSON.stringify(change)}: ${answer.text}`);
    }
  });

  it('nobody disables himself; a password of the admin’s making is not taken', async () => {
    const answer = await change(admin.subject, '/disable');
    assert.deepEqual([answer.status, answer.code], [409, 'conflict']);
    assert.equal((await entry(admin.subject)).state, 'active');
    const made = await add({ username: 'rosa', roles: ['analyst'], password: 'an admin chose this one' });
    if (made.status === 201)
      assert.equal(
        (await test.client.post('/auth/login', { username: 'rosa', password: 'an admin chose this one' })).code,
        'invalid_credentials',
      );
  });

  it('an account that is disabled is not brought back by a reset', async () => {
    const { id } = await invite(test, admin, { username: 'sam', roles: ['analyst'] });
    await change(id, '/disable');
    const answer = await change(id, '/reset');
    assert.equal(answer.status, 200);
    assert.equal((await entry(id)).state, 'disabled');
    const link = answer.json<{ enrolment: { url: string } }>().enrolment.url.split('/enrol/')[1];
    assert.equal(
      (await test.client.post('/auth/enrol', { token: link, password: 'quiet otter 7 lanterns' })).status,
      404,
    );
    await change(id, '/enable');
    assert.equal(
      (await test.client.post('/auth/enrol', { token: link, password: 'quiet otter 7 lanterns' })).status,
      200,
    );
  });

  it('an id that nobody has is not found, and needs no code to say so', async () => {
    for (const verb of ['/disable', '/enable', '/reset']) {
      const path = `/admin/users/usr_${'0'.repeat(32)}${verb}`;
      assert.equal((await test.client.request('POST', path, { headers: admin.bearer })).code, 'not_found');
    }
  });

  it('an analyst, an auditor, a stranger may nothing of this, and it is on the record', async () => {
    const people = [
      await newPerson(test, admin, { username: 'tom', roles: ['analyst'] }),
      await newPerson(test, admin, { username: 'uma', roles: ['auditor'] }),
    ];
    const id = admin.subject;
    for (const { bearer, subject } of [...people, { bearer: {}, subject: null }])
      for (const [method, path, body] of [
        ['GET', '/admin/users', undefined],
        ['POST', '/admin/users', { username: 'evil', roles: ['admin'] }],
        ['PATCH', `/admin/users/${id}`, { roles: ['analyst'] }],
        ['POST', `/admin/users/${id}/disable`, undefined],
        ['POST', `/admin/users/${id}/enable`, undefined],
        ['POST', `/admin/users/${id}/reset`, undefined],
      ] as const) {
        const options = { headers: bearer, ...(body === undefined ? {} : { body }) };
        const answer = await test.client.request(method, path, options);
        assert.equal(answer.status, subject === null ? 401 : 403, `${method} ${path}`);
      }
    // A refusal is recorded behind its answer.
    for (const { subject } of people)
      await eventually(async () => {
        const [row] = await test.database.sql<{ n: number }>(
          "SELECT count(*)::int AS n FROM entry WHERE actor = $1 AND kind = 'denial' AND action LIKE 'users.%'",
          [subject],
        );
        assert.ok((row?.n ?? 0) <= 6);
        return row?.n === 6;
      });
  });
});
