import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually, present } from '../harness/gateway.ts';
import { GatewayProcess } from '../harness/gateway-process.ts';
import type { Answer } from '../harness/https-client.ts';
import { codeOf, linkOf, wrongCode } from './people.ts';

type Headers = Readonly<Record<string, string>>;

/** Every change of identity once, by whoever makes it: all of it is on the record, nothing of a secret is anywhere. */
describe('the record of identity', () => {
  let gateway: GatewayProcess;
  /** What must be found: action, kind and outcome, actor, resource. */
  const expected: { action: string; outcome: string; actor: string; resource: string }[] = [];
  const secrets = new Map<string, string>();
  const keep = (name: string, value: string): string => {
    secrets.set(name, value);
    return value;
  };
  const expect = (action: string, actor: string, resource: string, outcome = 'completed') =>
    expected.push({ action, actor, resource, outcome });

  before(async () => {
    gateway = await GatewayProcess.start({ models: {}, log: { level: 'debug' } });
    await walk();
  });
  after(() => gateway[Symbol.asyncDispose]());

  async function walk(): Promise<void> {
    const { client, database } = gateway;
    const ok = (answer: Answer): Answer => {
      assert.ok(answer.status < 300, answer.text);
      return answer;
    };
    const forget = () => database.sql('UPDATE account SET totp_last_step = 0');
    const bearerOf = (answer: Answer, name: string): Headers => {
      const { token } = ok(answer).json<{ token: string }>();
      keep(name, token.slice(4));
      return { authorization: `Bearer ${token}` };
    };
    const stepped = async (secret: string, bearer: Headers, method: string, path: string, body?: unknown) => {
      const options = body === undefined ? {} : { body };
      const asked = await client.request(method, path, { ...options, headers: bearer });
      const { challenge } = asked.json<{ challenge: string }>();
      keep(`challenge of ${path}`, challenge.slice(4));
      await forget();
      const proved = ok(await client.post('/auth/step-up', { challenge, code: codeOf(secret) }, bearer));
      const proof = keep(`proof of ${path}`, proved.json<{ proof: string }>().proof);
      return client.request(method, path, { ...options, headers: { ...bearer, 'step-up-proof': proof } });
    };

    // The admin of the first run.
    const first = gateway.account('admin');
    const firstSecret = keep('secret of the admin', present(first.totpSecret));
    keep('password of the admin', first.password);
    await forget();
    const admin = bearerOf(
      await client.post('/auth/login', { ...first, code: codeOf(firstSecret) }),
      'session of the admin',
    );
    const me = (await client.get('/auth/session', admin)).json<{ user: { id: string } }>().user.id;
    expect('session.create', me, `account:${me}`);

    // Somebody new, from the invitation to a changed password.
    const values = { username: 'mei.canary', roles: ['analyst'], department: 'risk' };
    const invited = ok(await stepped(firstSecret, admin, 'POST', '/admin/users', values));
    const { user, enrolment } = invited.json<{ user: { id: string }; enrolment: { url: string } }>();
    const { id } = user;
    const account = `account:${id}`;
    expect('account.create', me, account);
    expect('step_up.challenge', me, `account:${me}`);
    expect('step_up.prove', me, `account:${me}`);
    const link = keep('link', linkOf(enrolment.url));
    const password = keep('password', 'green canary over 42 rivers');
    ok(await client.post('/auth/enrol', { token: link, password }));
    expect('account.enrol', id, account);
    const wrong = keep('wrong password', 'red canary under 24 hills');
    assert.equal((await client.post('/auth/login', { username: 'mei.canary', password: wrong })).status, 401);
    expect('session.create', id, account, 'denied');
    let mei = bearerOf(await client.post('/auth/login', { username: 'mei.canary', password }), 'first session');
    expect('session.create', id, account);

    const key = ok(await client.post('/auth/keys', { name: 'k', password }, mei)).json<{ id: string; key: string }>();
    keep('key', key.key.slice(4));
    expect('key.create', id, `key:${key.id}`);
    ok(await client.request('DELETE', `/auth/keys/${key.id}`, { headers: mei }));
    expect('key.revoke', id, `key:${key.id}`);
    const second = bearerOf(await client.post('/auth/login', { username: 'mei.canary', password }), 'second session');
    const { data } = (await client.get('/auth/sessions', mei)).json<{ data: { id: string; current: boolean }[] }>();
    ok(await client.request('DELETE', `/auth/sessions/${data.find(({ current }) => !current)?.id}`, { headers: mei }));
    expect('session.end', id, account);
    assert.equal((await client.get('/auth/session', second)).status, 401);

    const begun = ok(await client.post('/auth/totp/enrol', { password }, mei)).json<{ secret: string; uri: string }>();
    const secret = keep('secret', begun.secret);
    expect('totp.enrol', id, account);
    assert.equal((await client.post('/auth/totp/activate', { code: wrongCode(secret) }, mei)).status, 401);
    const activated = ok(await client.post('/auth/totp/activate', { code: codeOf(secret) }, mei));
    const { recovery_codes: codes } = activated.json<{ recovery_codes: string[] }>();
    for (const [n, code] of codes.entries()) keep(`recovery code ${n}`, code);
    expect('totp.activate', id, account);
    await forget();
    mei = bearerOf(
      await client.post('/auth/login', { username: 'mei.canary', password, code: codes[0] }),
      'third session',
    );
    const next = keep('next password', 'blue canary behind 9 doors');
    ok(await stepped(secret, mei, 'POST', '/auth/password', { current_password: password, new_password: next }));
    expect('password.set', id, account);
    await forget();
    mei = bearerOf(
      await client.post('/auth/login', { username: 'mei.canary', password: next, code: codeOf(secret) }),
      'fourth',
    );
    ok(await client.request('POST', '/auth/logout', { headers: mei }));

    // What admins do to others.
    ok(await stepped(firstSecret, admin, 'PATCH', `/admin/users/${id}`, { clearance: 2 }));
    expect('account.update', me, account);
    for (const verb of ['disable', 'enable', 'reset'] as const) {
      const answer = ok(await stepped(firstSecret, admin, 'POST', `/admin/users/${id}/${verb}`));
      if (verb === 'reset') keep('second link', linkOf(answer.json<{ enrolment: { url: string } }>().enrolment.url));
      expect(`account.${verb}`, me, account);
    }
    const service = { username: 'batch', roles: ['service'] };
    const made = ok(await stepped(firstSecret, admin, 'POST', '/admin/users', service)).json<{
      user: { id: string };
    }>();
    expect('account.create', me, `account:${made.user.id}`);
    const body = { account: made.user.id, name: 'nightly' };
    const issued = ok(await stepped(firstSecret, admin, 'POST', '/admin/keys', body)).json<{
      id: string;
      key: string;
    }>();
    keep('key of the service', issued.key.slice(4));
    expect('key.create', me, `key:${issued.id}`);
    ok(await stepped(firstSecret, admin, 'DELETE', `/admin/keys/${issued.id}`));
    expect('key.revoke', me, `key:${issued.id}`);
    for (const verb of ['disable', 'erase']) {
      ok(await stepped(firstSecret, admin, 'POST', `/admin/users/${made.user.id}/${verb}`));
      expect(`account.${verb}`, me, `account:${made.user.id}`);
    }
    const last = await stepped(firstSecret, admin, 'PATCH', `/admin/users/${me}`, { roles: ['analyst'] });
    assert.equal(last.status, 409);
    expect('account.update', me, `account:${me}`, 'denied');

    // A browser, which is given another token at step-up.
    await forget();
    const login = ok(await client.post('/auth/login', { ...first, code: codeOf(firstSecret) }));
    const cookie = present(login.headers['set-cookie']?.[0]?.split(';', 1)[0]);
    const asked = await client.request('POST', `/admin/users/${id}/disable`, { headers: { cookie } });
    await forget();
    const { challenge } = asked.json<{ challenge: string }>();
    const proved = ok(await client.post('/auth/step-up', { challenge, code: codeOf(firstSecret) }, { cookie }));
    keep('renewed cookie', present(/__Host-strongroom=srs_([^;]+)/.exec(String(proved.headers['set-cookie']))?.[1]));
    expect('session.rotate', me, `account:${me}`);
    // Last: whoever guesses at a code.
    const again = await client.request('POST', `/admin/users/${id}/disable`, { headers: admin });
    const guess = { challenge: again.json<{ challenge: string }>().challenge, code: wrongCode(firstSecret) };
    assert.equal((await client.post('/auth/step-up', guess, admin)).status, 401);
    expect('step_up.prove', me, `account:${me}`, 'denied');
  }

  it('holds each change with who made it and to what', async () => {
    assert.ok(expected.length >= 22);
    for (const one of expected)
      await eventually(async () => {
        const rows = await gateway.database.sql(
          `SELECT FROM entry WHERE action = $1 AND outcome = $2 AND actor = $3 AND resource = $4 AND kind IN ('change', 'sign-in')`,
          [one.action, one.outcome, one.actor, one.resource],
        );
        return rows.length > 0;
      });
  });

  it('holds every change of identity that the program can make: none is missing from this walk', async () => {
    const rows = await gateway.database.sql<{ action: string }>(
      "SELECT DISTINCT action FROM entry WHERE kind IN ('change', 'sign-in') ORDER BY 1",
    );
    const found = new Set(rows.map(({ action }) => action));
    const functions = await gateway.database.sql<{ name: string }>(
      `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'strongroom'::regnamespace
         AND proname ~ '^change_(account|key|session|totp|password)_'`,
    );
    /** Changes whose record has another name, or that need a provider, a rotation or weaker parameters. */
    const otherwise: Readonly<Record<string, string>> = {
      change_account_invite: 'account.create',
      change_account_service: 'account.create',
      change_key_issue: 'key.create',
      change_key_withdraw: 'key.revoke',
      change_key_register: 'keys.register',
    };
    const elsewhere =
      /^change_(session_(federate|confirm|provider_logout)|account_federate|totp_reseal|password_rehash)$/;
    for (const { name } of functions) {
      if (elsewhere.test(name)) continue;
      const action = otherwise[name] ?? name.replace(/^change_([a-z]+)_/, '$1.');
      assert.ok(found.has(action), `${name}: nothing is recorded as ${action}`);
    }
  });

  /** As text, in hexadecimal and in base64; tables are read whole, bytes and all. */
  const find = (where: string, text: string) => {
    const low = text.toLowerCase();
    for (const [name, secret] of secrets) {
      const bytes = Buffer.from(secret);
      for (const form of [secret, bytes.toString('hex'), bytes.toString('base64').replace(/.{0,2}=*$/, '')])
        assert.ok(!low.includes(form.toLowerCase()), `the ${name} is in ${where}`);
    }
  };

  it('nothing of a secret is in any column of any table', async () => {
    assert.ok(secrets.size > 35);
    const tables = await gateway.database.sql<{ name: string }>(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    let rows = 0;
    for (const { name } of tables)
      for (const { row } of await gateway.database.sql<{ row: string }>(`SELECT t::text AS row FROM ${name} t`)) {
        rows++;
        find(name, row);
      }
    assert.ok(rows > 100, `${rows} rows`);
  });

  it('nor in the log, on standard output beyond what the first run shows, or in the metrics', async () => {
    assert.ok(gateway.stderr.split('\n').length > 40);
    find('the log', gateway.stderr);
    find('the metrics', await (await fetch(gateway.metricsUrl)).text());
    const shown = gateway.stdout.slice(gateway.stdout.indexOf('Strongroom is at'));
    find('standard output', shown);
    assert.ok(!gateway.stdout.includes('canary'));
  });
});
