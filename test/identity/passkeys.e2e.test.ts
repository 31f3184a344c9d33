import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SoftAuthenticator } from '../fakes/authenticator.ts';
import { TestGateway } from '../harness/gateway.ts';
import {
  assertionFor,
  creationOptions,
  enter,
  finish,
  type KeyHolder,
  keyProof,
  register,
  signInOptions,
  withPasskey,
} from './passkey-people.ts';
import {
  challengeFor,
  enrol,
  firstAdmin,
  forgetGuesses,
  invite,
  linkOf,
  newPerson,
  type Operation,
  PASSWORD,
  type Person,
  proofFor,
  signIn,
  stepped,
  withFactor,
  withProof,
} from './people.ts';

const BEGIN: Operation = { method: 'POST', path: '/auth/webauthn/register/options', body: {} };

describe('one’s own passkeys', () => {
  let test: TestGateway;
  let admin: Person;
  let count = 0;

  before(async () => {
    test = await TestGateway.open({ models: { one: { upstream: { url: 'http://127.0.0.1:9', model: 'none' } } } });
    admin = await firstAdmin(test);
  });
  after(() => test[Symbol.asyncDispose]());
  beforeEach(() => forgetGuesses(test));

  const somebody = (roles: string[] = ['analyst']) => newPerson(test, admin, { username: `holder-${++count}`, roles });
  const keysOf = async (who: Person) =>
    (await test.client.get('/auth/webauthn/keys', who.bearer)).json<{ data: { id: string; name: string }[] }>().data;
  const remove = (id: string): Operation => ({ method: 'DELETE', path: `/auth/webauthn/keys/${id}` });
  const userOf = async (who: Person) =>
    (await test.client.get('/auth/session', who.bearer)).json<{ user: Record<string, unknown> }>().user;
  const actionsOf = async (who: Person) =>
    (
      await test.database.sql<{ action: string; outcome: string; record: string }>(
        "SELECT action, outcome, record FROM entry WHERE actor = $1 AND action LIKE 'passkey.%' AND kind <> 'intent' ORDER BY seq",
        [who.subject],
      )
    ).map(({ action, outcome }) => `${action} ${outcome}`);

  it('registers with the password where there is no factor; ends every session, and gives recovery codes', async () => {
    const who = await somebody();
    const device = new SoftAuthenticator(test.url);
    const options = await creationOptions(test, who);
    const made = await register(test.client, who, device.create(options));
    assert.equal(made.status, 201, made.text);
    const { passkey, recovery_codes: codes } = made.json<{ passkey: object; recovery_codes: string[] }>();
    assert.deepEqual(Object.keys(passkey), ['id', 'name', 'created_at', 'last_used_at']);
    assert.equal(codes.length, 10);
    assert.equal((await test.client.get('/auth/session', who.bearer)).status, 401);
    const { username, password } = who;
    const asked = await test.client.post('/auth/login', { username, password });
    assert.deepEqual([asked.code, asked.json()['factors']], ['code_required', 'passkey']);
    assert.equal(
      (await test.client.post('/auth/login', { username, password, code: '123456' })).code,
      'invalid_credentials',
    );
    const session = await enter(test, { ...who, device });
    assert.deepEqual([(await userOf(session))['has_passkey'], (await userOf(session))['has_totp']], [true, false]);
    const recovered = await test.client.post('/auth/login', { username, password, code: codes[0] });
    assert.equal(recovered.status, 200, recovered.text);
    const records = await test.database.sql<{ record: string }>('SELECT record FROM entry WHERE actor = $1', [
      who.subject,
    ]);
    const all = JSON.stringify(records);
    for (const secret of [options.challenge, ...codes, password]) assert.ok(!all.includes(secret));
    assert.ok((await actionsOf(who)).includes('passkey.register completed'));
  });

  it('asks browsers for a verified user, no word of the maker, and this host alone', async () => {
    const who = await somebody();
    const options = (await creationOptions(test, who)) as unknown as Record<string, unknown>;
    assert.equal(options['attestation'], 'none');
    assert.deepEqual(options['authenticatorSelection'], { residentKey: 'preferred', userVerification: 'required' });
    assert.deepEqual(options['rp'], { id: 'localhost', name: 'Strongroom' });
    const request = (await signInOptions(test.client, await withPasskey(test, who))) as unknown as Record<
      string,
      unknown
    >;
    assert.equal(request['userVerification'], 'required');
    assert.equal(request['rpId'], 'localhost');
  });

  it('a stolen session registers nothing: without the password, or without the factor that is there', async () => {
    const who = await somebody();
    for (const body of [{}, { password: 'not the password' }]) {
      const answer = await test.client.post(BEGIN.path, body, who.bearer);
      assert.ok(answer.status >= 400, answer.text);
    }
    const { person } = await withFactor(test, await somebody());
    const answer = await test.client.post(BEGIN.path, { password: person.password }, person.bearer);
    assert.equal(answer.code, 'step_up_required');
    assert.equal(answer.json()['factors'], 'totp');
    const holder = await withPasskey(test, await somebody());
    const again = await test.client.post(BEGIN.path, { password: holder.password }, holder.bearer);
    assert.equal(again.code, 'step_up_required');
    assert.equal(
      (await test.client.post('/auth/totp/enrol', { password: PASSWORD }, holder.bearer)).code,
      'step_up_required',
    );
  });

  it('stands beside an authenticator app, whose recovery codes stay', async () => {
    const { person, recoveryCodes } = await withFactor(test, await somebody());
    const device = new SoftAuthenticator(test.url);
    const options = await creationOptions(test, person, await proofFor(test, person, BEGIN));
    const made = await register(test.client, person, device.create(options));
    assert.deepEqual(made.json()['recovery_codes'], []);
    const { username, password } = person;
    assert.equal((await test.client.post('/auth/login', { username, password })).json()['factors'], 'passkey totp');
    await signIn(test, person);
    await enter(test, { ...person, device });
    assert.equal((await test.client.post('/auth/login', { username, password, code: recoveryCodes[0] })).status, 200);
  });

  it('takes no answer that lies about page, host, challenge, purpose or user, nor one of a maker', async () => {
    const who = await somebody();
    const lies = [
      { origin: 'https://localhost.evil.test' },
      { origin: 'http://localhost' },
      { rpId: 'evil.test' },
      { challenge: 'A'.repeat(43) },
      { type: 'webauthn.get' },
      { crossOrigin: true },
      { unverified: true },
      { absent: true },
      { format: 'packed' },
      { format: 'tpm' },
    ];
    for (const lie of lies) {
      const device = new SoftAuthenticator(test.url);
      const answer = await register(test.client, who, device.create(await creationOptions(test, who), lie));
      assert.deepEqual([answer.status, answer.code], [401, 'invalid_credentials'], JSON.stringify(lie));
    }
    assert.deepEqual(await keysOf(who), []);
    assert.ok((await actionsOf(who)).includes('passkey.register denied'));
  });

  it('takes an answer once, in the session that began, within five minutes', async () => {
    const who = await somebody();
    const other = await somebody();
    const device = new SoftAuthenticator(test.url);
    const foreign = device.create(await creationOptions(test, who));
    assert.equal((await register(test.client, other, foreign)).code, 'invalid_credentials');
    assert.equal((await register(test.client, who, foreign)).code, 'invalid_credentials', 'it is used up');
    const elsewhere = device.create(await creationOptions(test, who));
    assert.equal((await register(test.client, await signIn(test, who), elsewhere)).code, 'invalid_credentials');
    const late = device.create(await creationOptions(test, who));
    await test.database.sql("UPDATE webauthn_challenge SET created_at = created_at - interval '301 seconds'");
    assert.equal((await register(test.client, who, late)).code, 'invalid_credentials');
    const good = device.create(await creationOptions(test, who));
    assert.equal((await register(test.client, who, good)).status, 201);
    const known = device.create(await creationOptions(test, other), { again: true });
    assert.equal((await register(test.client, other, known)).code, 'conflict', 'the key of somebody else');
  });

  it('junk where CBOR should be is refused like any other answer', async () => {
    const who = await somebody();
    const device = new SoftAuthenticator(test.url);
    for (const junk of [
      'gA',
      Buffer.alloc(8000, 0x81).toString('base64url'),
      Buffer.alloc(9, 0xff).toString('base64url'),
    ]) {
      const made = device.create(await creationOptions(test, who));
      const answer = await register(test.client, who, {
        ...made,
        response: { ...made.response, attestationObject: junk },
      });
      assert.deepEqual([answer.status, answer.code], [401, 'invalid_credentials']);
    }
  });

  it('are listed, named, and removed with one’s factor; nobody reaches those of others', async () => {
    const who = await withPasskey(test, await somebody());
    const other = await withPasskey(test, await somebody());
    const [key] = await keysOf(who);
    assert.ok(key);
    const path = `/auth/webauthn/keys/${key.id}`;
    const renamed = await test.client.request('PATCH', path, { headers: who.bearer, body: { name: ' Green key ' } });
    assert.equal(renamed.json()['name'], 'Green key');
    assert.equal(
      (await test.client.request('PATCH', path, { headers: other.bearer, body: { name: 'x' } })).status,
      404,
    );
    const foreign = await withProof(test, other, remove(key.id), await keyProof(test, other, remove(key.id)));
    assert.equal(foreign.status, 404);
    const { challenge, operation } = await challengeFor(test, who, remove(key.id));
    assert.match(challenge, /^suc_/);
    assert.match(operation, /^Remove the passkey “Green key” of holder-/);
    const gone = await withProof(test, who, remove(key.id), await keyProof(test, who, remove(key.id)));
    assert.equal(gone.status, 204, gone.text);
    assert.equal((await test.client.get('/auth/session', who.bearer)).status, 401);
    const again = await signIn(test, { ...who, secret: null });
    assert.deepEqual(await keysOf(again), []);
    const log = await actionsOf(who);
    for (const action of ['passkey.rename completed', 'passkey.remove completed']) assert.ok(log.includes(action));
  });

  it('satisfy a role that demands a factor, and its last factor stays, also when two go at once', async () => {
    const fresh = await somebody(['admin']);
    assert.equal((await userOf(fresh))['must_enrol'], true);
    assert.equal((await test.client.get('/admin/users', fresh.bearer)).status, 403);
    const first = await withPasskey(test, fresh);
    assert.equal((await userOf(first))['must_enrol'], false);
    assert.equal((await test.client.get('/admin/users', first.bearer)).status, 200);
    const [only] = await keysOf(first);
    assert.ok(only);
    const kept = await withProof(test, first, remove(only.id), await keyProof(test, first, remove(only.id)));
    assert.deepEqual([kept.status, kept.code], [409, 'conflict']);
    const second = new SoftAuthenticator(test.url);
    const options = await creationOptions(test, first, await keyProof(test, first, BEGIN));
    assert.equal((await register(test.client, first, second.create(options), 'Other')).status, 201);
    const one = await enter(test, first);
    const two: KeyHolder = await enter(test, { ...one, device: second });
    const keys = await keysOf(one);
    const proofs = await Promise.all(keys.map(({ id }) => keyProof(test, two, remove(id))));
    const ends = await Promise.all(keys.map(({ id }, at) => withProof(test, two, remove(id), proofs[at] ?? '')));
    assert.equal(ends.filter(({ status }) => status === 204).length, 1, ends.map(({ text }) => text).join());
    const left = await test.database.sql('SELECT id FROM passkey WHERE account_id = $1', [one.subject]);
    assert.equal(left.length, 1);
  });

  it('are ten at most', async () => {
    const who = await withPasskey(test, await somebody());
    await test.database.sql(
      `INSERT INTO passkey SELECT 'psk_' || n, account_id, decode(md5(n::text || account_id), 'hex'), public_key, 0, '{}', 'copy', created_at
       FROM passkey, generate_series(1, 9) n WHERE account_id = $1`,
      [who.subject],
    );
    const options = await creationOptions(test, who, await keyProof(test, who, BEGIN));
    assert.equal((await register(test.client, who, new SoftAuthenticator(test.url).create(options))).code, 'conflict');
  });

  it('go with a reset by an admin; the old one opens nothing', async () => {
    const { id, username, link } = await invite(test, admin, { username: `holder-${++count}`, roles: ['analyst'] });
    await enrol(test, link);
    const who = await withPasskey(test, await signIn(test, { username, password: PASSWORD, secret: null }));
    const open = who.device.get(await signInOptions(test.client, who));
    const reset = await stepped(test, admin, { method: 'POST', path: `/admin/users/${id}/reset` });
    assert.equal(reset.status, 200, reset.text);
    assert.equal((await finish(test.client, open)).code, 'invalid_credentials');
    await enrol(test, linkOf(reset.json<{ enrolment: { url: string } }>().enrolment.url));
    const fresh = await signIn(test, { username, password: PASSWORD, secret: null });
    assert.deepEqual(await keysOf(fresh), []);
    const { user } = reset.json<{ user: { has_passkey: boolean } }>();
    assert.equal(user.has_passkey, false);
  });

  it('confirm an admin’s change, on the record with the key and without its answer', async () => {
    const who = await withPasskey(test, await somebody(['admin']));
    const load: Operation = { method: 'POST', path: '/admin/models/one/load' };
    const answer = await test.client.request('POST', load.path, { headers: who.bearer });
    assert.equal(
      answer.headers['www-authenticate'],
      'Bearer error="insufficient_user_authentication", acr_values="urn:strongroom:acr:phr", max_age="0"',
    );
    const { challenge } = answer.json<{ challenge: string }>();
    const assertion = await assertionFor(test, who, challenge);
    const proved = await test.client.post('/auth/step-up', { challenge, assertion }, who.bearer);
    const done = await withProof(test, who, load, proved.json<{ proof: string }>().proof);
    assert.equal(done.status, 202, done.text);
    const rows = await test.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE actor = $1 AND action = 'step_up.prove' ORDER BY seq DESC LIMIT 1",
      [who.subject],
    );
    const { event } = JSON.parse(rows[0]?.record ?? '{}');
    assert.deepEqual([event.factor, event.passkey], ['passkey', (await keysOf(who))[0]?.id]);
    assert.ok(!rows[0]?.record.includes(assertion.response.signature));
  });
});
