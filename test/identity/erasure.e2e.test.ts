import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { present, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { runStrongroom } from '../harness/gateway-process.ts';
import { enrol, firstAdmin, invite, PASSWORD, type Person, signIn, stepped, withFactor } from './people.ts';

const NAME = 'mei.lin-canary';
const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }] };

interface Found {
  readonly data: readonly { readonly seq: string; readonly actor: string; readonly actor_name: string | null }[];
}

describe('a person’s name is erased', () => {
  let test: TestGateway;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  let admin: Person;
  let auditor: Session;
  let mei: Person;
  let id: string;
  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({ models: { demo: upstreamEntry(upstream.url) } });
    [admin, auditor] = [await firstAdmin(test), await test.signIn('auditor')];
    const invited = await invite(test, admin, { username: NAME, roles: ['analyst'], department: 'risk', clearance: 1 });
    id = invited.id;
    await enrol(test, invited.link);
    const entered = await signIn(test, { username: NAME, password: PASSWORD, secret: null });
    mei = (await withFactor(test, entered)).person;
    const key = await stepped(test, mei, { method: 'POST', path: '/auth/keys', body: { name: `laptop of ${NAME}` } });
    assert.equal(key.status, 201, key.text);
    for (let n = 0; n < 3; n++) {
      const { key: secret } = key.json<{ key: string }>();
      const answer = await test.client.post('/v1/chat/completions', ASK, { authorization: `Bearer ${secret}` });
      assert.equal(answer.status, 200, answer.text);
    }
    const limit = { method: 'PUT', path: `/admin/quotas/user:${id}/requests_day`, body: { amount: 500 } };
    assert.ok((await stepped(test, admin, limit)).status < 300);
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const on = (verb: string) => stepped(test, admin, { method: 'POST', path: `/admin/users/${id}/${verb}` });
  /** Tables that hold the name anywhere in a row. */
  const whereIs = async (text: string): Promise<string[]> => {
    const tables = await test.database.sql<{ name: string }>(
      "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'strongroom' ORDER BY 1",
    );
    assert.ok(tables.length > 20);
    const found: string[] = [];
    for (const { name } of tables) {
      const rows = await test.database.sql(`SELECT FROM ${name} t WHERE strpos(t::text, $1) > 0 LIMIT 1`, [text]);
      if (rows.length > 0) found.push(name);
    }
    return found;
  };
  const search = async (query: string) =>
    (await test.client.get(`/audit/events?${query}`, auditor.bearer)).json<Found>().data;

  it('the name never stood in a record, and stands in few tables', async () => {
    assert.deepEqual(await whereIs(NAME), ['account', 'actor_name', 'api_key', 'step_up_challenge']);
    const asked = await search(`actor=${NAME}&action=infer`);
    assert.deepEqual([asked.length, asked[0]?.actor, asked[0]?.actor_name], [6, id, NAME]);
  });

  it('not of somebody who may be at work', async () => {
    const answer = await on('erase');
    assert.deepEqual([answer.status, answer.code], [409, 'conflict'], answer.text);
    assert.equal((await test.client.get('/auth/session', mei.bearer)).status, 200);
  });

  it('is gone from every table by an act of an admin with a second factor, on record', async () => {
    assert.equal((await on('disable')).status, 200);
    const bare = await test.client.post(`/admin/users/${id}/erase`, undefined, admin.bearer);
    assert.equal(bare.code, 'step_up_required');
    assert.match(
      bare.json<{ operation: string }>().operation,
      new RegExp(`Erase the account ${NAME} for good.* ${id}`),
    );
    const answer = await on('erase');
    assert.equal(answer.status, 204, answer.text);
    assert.deepEqual(await whereIs(NAME), []);
    assert.deepEqual(await whereIs(mei.token), []);
    const records = await test.records(String(answer.headers['x-request-id']));
    const change = present(records.find(({ kind }) => kind === 'change'));
    assert.deepEqual(
      [change.action, change.outcome, change.actor, change.resource],
      ['account.erase', 'completed', admin.subject, `account:${id}`],
    );
    assert.deepEqual(await test.database.sql("SELECT FROM quota_limit WHERE scope LIKE 'user:%'"), []);
  });

  it('the records stay, under the id alone, and all of the log verifies', async () => {
    const found = await search(`actor=${id}&action=infer`);
    assert.deepEqual([found.length, found.map(({ actor_name: name }) => name)], [6, Array(6).fill(null)]);
    assert.deepEqual(await search(`actor=${NAME}`), []);
    const verified = await runStrongroom(['audit', 'verify', '--json'], { STRONGROOM_DATA_DIR: test.dataDir });
    const { ok, findings, signaturesChecked } = JSON.parse(verified.stdout);
    assert.deepEqual([verified.code, ok, findings, signaturesChecked], [0, true, [], true]);
  });

  it('nothing brings it back; the name is free for somebody else', async () => {
    for (const verb of ['enable', 'reset', 'erase', 'disable']) {
      const answer = await test.client.post(`/admin/users/${id}/${verb}`, undefined, admin.bearer);
      assert.equal(answer.status, 404, verb);
    }
    const login = await test.client.post('/auth/login', { username: NAME, password: PASSWORD });
    assert.deepEqual([login.status, login.code], [401, 'invalid_credentials']);
    assert.equal((await test.client.get('/auth/session', mei.bearer)).status, 401);
    const next = await invite(test, admin, { username: NAME, roles: ['analyst'], department: 'risk', clearance: 1 });
    assert.notEqual(next.id, id);
    assert.equal((await search(`actor=${NAME}`)).filter(({ actor }) => actor === id).length, 0);
  });
});
