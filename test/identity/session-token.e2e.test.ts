import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { present, TestGateway } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';
import { codeOf, firstAdmin, forgetGuesses, forgetSteps, type Person } from './people.ts';

type Headers = Readonly<Record<string, string>>;
const LOAD = '/admin/models/one/load';
const UNLOAD = '/admin/models/one/unload';

describe('another session token at step-up', () => {
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  before(async () => {
    const models = { one: { upstream: { url: 'http://127.0.0.1:9', model: 'none' } } };
    a = await TestGateway.open({ models });
    b = await a.replica({ models });
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await forgetGuesses(a);
    admin = await firstAdmin(a);
  });

  const challenge = async (headers: Headers, path = LOAD) =>
    (await a.client.request('POST', path, { headers })).json<{ challenge: string }>().challenge;
  const stepUp = async (headers: Headers, path = LOAD): Promise<Answer> => {
    const asked = await challenge(headers, path);
    await forgetSteps(a);
    return a.client.post('/auth/step-up', { challenge: asked, code: codeOf(present(admin.secret)) }, headers);
  };
  const proofOf = (answer: Answer) => answer.json<{ proof: string; expires_in: number }>();
  const cookieOf = (answer: Answer): Headers => {
    const cookie = (answer.headers['set-cookie'] ?? []).find((one) => one.startsWith('__Host-strongroom='));
    return { cookie: present(cookie?.split(';', 1)[0]) };
  };
  const look = (headers: Headers, test = a) => test.client.get('/auth/session', headers);
  /** The moment that requests under way are given is over. */
  const later = () => a.database.sql("UPDATE session SET previous_until = now() - interval '1 second'");

  it('a browser gets one in its cookie; the proof is good with the new and, for a moment, with the old', async () => {
    const answer = await stepUp(admin.cookie);
    assert.deepEqual(Object.keys(answer.json()).toSorted(), ['expires_in', 'proof']);
    const fresh = cookieOf(answer);
    assert.notEqual(fresh['cookie'], admin.cookie['cookie']);
    assert.match(String(answer.headers['set-cookie']), /; Path=\/; Secure; HttpOnly; SameSite=Strict; Expires=/);
    assert.equal((await look(admin.cookie, b)).status, 200, 'a request that was on its way');
    assert.equal((await look(fresh, b)).status, 200);
    const headers = { ...fresh, 'step-up-proof': proofOf(answer).proof };
    assert.equal((await b.client.request('POST', LOAD, { headers })).status, 202);
    const twice = await a.client.request('POST', LOAD, { headers });
    assert.equal(twice.code, 'step_up_required', 'once, as ever');
  });

  it('the old one opens nothing any more after that', async () => {
    const fresh = cookieOf(await stepUp(admin.cookie));
    await later();
    // Neither gateway has it in its cache: the one that rotated has forgotten it, the other never saw it.
    for (const test of [a, b]) {
      assert.equal((await look(admin.cookie, test)).status, 401);
      assert.equal((await look(admin.bearer, test)).status, 401);
      assert.equal((await look(fresh, test)).status, 200);
    }
    const { data } = (await a.client.get('/auth/sessions', fresh)).json<{ data: { current: boolean }[] }>();
    assert.equal(data.filter(({ current }) => current).length, 1, 'it is the same session');
  });

  it('a client with a token of its own keeps it: one that reads only proof and expires_in goes on', async () => {
    const first = await stepUp(admin.bearer);
    assert.deepEqual(Object.keys(first.json()).toSorted(), ['expires_in', 'proof']);
    assert.equal(first.headers['set-cookie'], undefined);
    await later();
    const headers = { ...admin.bearer, 'step-up-proof': proofOf(first).proof };
    assert.equal((await b.client.request('POST', LOAD, { headers })).status, 202);
    const second = { ...admin.bearer, 'step-up-proof': proofOf(await stepUp(admin.bearer, UNLOAD)).proof };
    assert.equal((await a.client.request('POST', UNLOAD, { headers: second })).status, 202);
  });

  it('two step-ups at once with one cookie: both proofs are good, one new token, nobody is signed out', async () => {
    const [one, two] = [await challenge(admin.cookie), await challenge(admin.cookie, UNLOAD)];
    await forgetSteps(a);
    const secret = present(admin.secret);
    const answers = await Promise.all([
      a.client.post('/auth/step-up', { challenge: one, code: codeOf(secret) }, admin.cookie),
      b.client.post('/auth/step-up', { challenge: two, code: codeOf(secret, 1) }, admin.cookie),
    ]);
    const renewed = answers.filter((answer) => answer.headers['set-cookie'] !== undefined);
    assert.ok(renewed.length >= 1);
    const current = await Promise.all(renewed.map(async (answer) => (await look(cookieOf(answer))).status));
    assert.ok(current.includes(200));
  });

  it('chains: each follows the one before; the one before the last is dead at once', async () => {
    const first = cookieOf(await stepUp(admin.cookie));
    const second = cookieOf(await stepUp(first, UNLOAD));
    assert.equal((await look(second, b)).status, 200);
    assert.equal((await look(first, b)).status, 200);
    assert.equal((await look(admin.cookie, b)).status, 401);
  });

  it('signing out with the new one ends the session for both; each change of token is on the record', async () => {
    const fresh = cookieOf(await stepUp(admin.cookie));
    assert.equal((await a.client.request('POST', '/auth/logout', { headers: fresh })).status, 204);
    for (const headers of [fresh, admin.cookie, admin.bearer])
      for (const test of [a, b]) assert.equal((await look(headers, test)).status, 401);
    const rows = await a.database.sql("SELECT FROM entry WHERE action = 'session.rotate' AND outcome = 'completed'");
    assert.ok(rows.length >= 5);
    const found = await a.database.sql('SELECT FROM session WHERE row_to_json(session)::text LIKE $1', [
      `%${String(fresh['cookie']).split('=')[1]}%`,
    ]);
    assert.deepEqual(found, []);
  });
});
