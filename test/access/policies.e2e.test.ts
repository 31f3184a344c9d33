import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Explanation, ReplayResult } from '#access/policies.contract.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';
import { firstAdmin, forgetGuesses, newPerson, type Person, stepped } from '../identity/people.ts';

const POLICY = readFileSync(new URL('../../policies/policy.csv', import.meta.url), 'utf8');
const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }] };
/** A rule of the test's own, in front of the shipped ones. */
const withRule = (line: string): string => `${line}\n${POLICY}`;
const NOBODY_ASKS = 'p, nobody-asks, role:analyst, model, *, infer, *, 0, deny, , Closed for today.';

const idOf = ({ headers }: Answer): string => String(headers['x-request-id']);

describe('policies over the API', () => {
  let upstream: FakeUpstream;
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let analyst: Session;
  let auditor: Session;

  before(async () => {
    upstream = await startFakeUpstream();
    const config = {
      models: {
        demo: upstreamEntry(upstream.url),
        secret: upstreamEntry(upstream.url, { ownerDepartment: 'treasury' }),
      },
      access: { timeZone: 'Asia/Shanghai', networkZones: { here: ['127.0.0.0/8'], elsewhere: ['10.0.0.0/8'] } },
    };
    a = await TestGateway.open(config);
    b = await a.replica(config);
    admin = await firstAdmin(a);
    analyst = await a.signIn('analyst');
    auditor = await a.signIn('auditor');
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await upstream.close();
  });
  beforeEach(() => forgetGuesses(a));

  const ask = (test: TestGateway, body: object = {}, who = analyst) =>
    test.client.post('/v1/chat/completions', { ...ASK, ...body }, who.bearer);
  const post = (path: string, body: object) => stepped(a, admin, { method: 'POST', path, body });
  const put = (policy: string, reason = 'a test') => post('/admin/policies', { policy, reason });
  const versions = async () =>
    (await b.client.get('/admin/policies', admin.bearer)).json<{
      data: { version: number; restored: number | null }[];
    }>();
  const newest = async () => (await versions()).data[0]?.version ?? 0;
  async function putBack(): Promise<void> {
    const answer = await post('/admin/policies/1/rollback', { reason: 'back' });
    if (answer.code !== 'conflict') assert.equal(answer.status, 201, answer.text);
  }

  it('a new version holds on every replica at the next request, and so does the way back', async () => {
    assert.equal((await ask(a)).status, 200);
    assert.equal((await ask(b)).status, 200);
    const answer = await put(withRule(NOBODY_ASKS));
    assert.equal(answer.status, 201, answer.text);
    for (const test of [b, a, b]) {
      const refused = await ask(test);
      assert.deepEqual([refused.status, refused.code], [404, 'model_not_found']);
      assert.deepEqual((await test.client.get('/v1/models', analyst.bearer)).json()['data'], []);
    }
    const back = await post('/admin/policies/1/rollback', { reason: 'open again' });
    assert.equal(back.status, 201, back.text);
    for (const test of [b, a]) assert.equal((await ask(test)).status, 200);
    const [first, second] = (await versions()).data;
    assert.deepEqual([first?.restored, second?.restored], [1, null]);
    assert.equal((first?.version ?? 0) - (second?.version ?? 0), 1, 'a way back is a new version');
  });

  it('both digests and their difference are on the log', async () => {
    const before = await newest();
    const answer = await put(withRule(NOBODY_ASKS), 'closed for the audit');
    const [record] = (
      await a.database.sql<{ record: string; actor: string }>(
        "SELECT record, actor FROM entry WHERE action = 'policy.import' AND kind = 'change' ORDER BY seq DESC LIMIT 1",
      )
    ).map((row) => ({ ...JSON.parse(row.record).event, actor: row.actor }));
    const texts = await Promise.all(
      [before, before + 1].map(async (version) =>
        (await a.client.get(`/admin/policies/${version}`, admin.bearer)).json<{ sha256: string; policy: string }>(),
      ),
    );
    assert.equal(texts[1]?.policy, withRule(NOBODY_ASKS));
    assert.deepEqual(
      [
        record.actor,
        record.from_version,
        record.from_sha256,
        record.policy_sha256,
        record.reason,
        record.added_rules,
        record.removed,
      ],
      [admin.subject, before, texts[0]?.sha256, texts[1]?.sha256, 'closed for the audit', ['nobody-asks'], 0],
    );
    assert.equal(record.resource, `policy:${before + 1}`);
    assert.deepEqual(
      answer.json<{ diff: { added: { name: string }[] } }>().diff.added.map(({ name }) => name),
      ['nobody-asks'],
    );
    const diff = await b.client.get(`/admin/policies/${before + 1}/diff?against=${before}`, admin.bearer);
    assert.equal(diff.json<{ added: unknown[] }>().added.length, 1);
    await putBack();
  });

  it('takes no policy with faults, none that is in force already, and none of two at once', async () => {
    const before = await newest();
    const wrong = await put(withRule('p, x, role:boss, modle, *, infer, *, 0, allow, network in moon, why'));
    assert.deepEqual([wrong.status, wrong.code], [422, 'policy_invalid']);
    for (const word of ['role:boss', 'modle', 'moon', 'line 1'])
      assert.ok(wrong.json<{ detail: string }>().detail.includes(word), wrong.text);
    const same = await put(POLICY);
    assert.deepEqual([same.status, same.code], [409, 'conflict']);
    assert.equal(await newest(), before);
    assert.equal((await post('/admin/policies/9999/rollback', {})).status, 404);
  });

  it('takes none under which no admin could change it again', async () => {
    const before = await newest();
    const lockouts = [
      POLICY.replace(/^p, admin-policy-write.*$/m, ''),
      POLICY.replace(/^p, admin-policy-read.*$/m, ''),
      withRule('p, x, role:admin, policy, *, policy.write, *, 0, deny, , Nobody at all.'),
      withRule('p, x, role:admin, policy, *, policy.write, *, 0, deny, network not in elsewhere, From elsewhere only.'),
      withRule('p, x, authenticated, policy, *, policy.write, *, 0, deny, strength below phishing-resistant, Not yet.'),
    ];
    for (const policy of lockouts) {
      const answer = await put(policy);
      assert.deepEqual([answer.status, answer.code], [409, 'policy_locks_out'], answer.text);
    }
    assert.equal(await newest(), before);
    // The same rule does no harm where an admin is let in from here.
    const fine = withRule(
      'p, x, role:admin, policy, *, policy.write, *, 0, deny, network not in here, From here only.',
    );
    assert.equal((await put(fine)).status, 201);
    await putBack();
  });

  it('conditions on network, strength, certification and owner hold for real requests', async () => {
    const sara = await newPerson(a, admin, {
      username: 'sara',
      roles: ['analyst'],
      department: 'treasury',
      certifications: ['credit-risk'],
    });
    const cases: [string, number, number][] = [
      ['network not in here', 200, 200],
      ['network in here', 404, 404],
      ['strength below second-factor', 404, 404],
      ['strength below password', 200, 200],
      ['certification not in credit-risk', 404, 200],
      ['owner not in own-department', 404, 200],
    ];
    for (const [when, plain, certified] of cases) {
      const rule = `p, x, role:analyst, model, *, infer, *, 0, deny, ${when}, A test.`;
      assert.equal((await put(withRule(rule))).status, 201, when);
      const statuses = [(await ask(b, { model: 'secret' })).status, (await ask(b, { model: 'secret' }, sara)).status];
      assert.deepEqual(statuses, [plain, certified], when);
      const refused = await ask(a, { model: 'secret' });
      const [record] = await a.recorded(idOf(refused));
      if (plain === 404) {
        assert.deepEqual([record?.event['rule'], record?.event['conditions']], ['x', when]);
        assert.deepEqual([record?.event['strength'], record?.event['owner']], ['password', 'treasury']);
      }
      await putBack();
    }
  });

  it('explains a decision in words', async () => {
    const explain = async (query: string) =>
      (await b.client.get(`/admin/policies/explain?${query}`, admin.bearer)).json<Explanation>();
    const yes = await explain('user=analyst&action=infer&resource=model:demo');
    assert.deepEqual([yes.allowed, yes.rule], [true, 'analyst-infer']);
    assert.match(yes.because, /^Allowed by the rule analyst-infer: Analysts ask the models/);
    const no = await explain('user=auditor&action=infer&resource=model:demo');
    assert.deepEqual([no.allowed, no.rule], [false, null]);
    assert.match(no.because, /Nearest is .*-infer, which asks subject role:/);
    const rule = 'p, hours, role:analyst, model, *, infer, *, 0, deny, time not in Mon-Fri 08:00-18:00, Office hours.';
    await put(withRule(rule));
    const night = await explain('user=analyst&action=infer&resource=model:demo&at=2026-01-07T23:30:00%2B08:00');
    assert.deepEqual([night.allowed, night.rule], [false, 'hours']);
    assert.match(JSON.stringify(night.rules), /Wed 23:30/);
    const day = await explain(
      'user=analyst&action=infer&resource=model:demo&at=2026-01-07T12:00:00%2B08:00&from=127.0.0.1',
    );
    assert.equal(day.allowed, true);
    await putBack();
    for (const [query, status] of [
      ['user=nobody&action=infer&resource=model:demo', 404],
      ['user=analyst&action=infer&resource=model:none', 400],
      ['user=analyst&action=infer&resource=demo', 400],
    ] as const)
      assert.equal((await b.client.get(`/admin/policies/explain?${query}`, admin.bearer)).status, status, query);
  });

  it('replays a draft on the log of the last days: what it would change, and that the auditor looked', async () => {
    await ask(a);
    await ask(b, { model: 'none' });
    const replay = async (policy: string, days = 7) => {
      const answer = await a.client.post('/audit/policies/replay', { policy, days }, auditor.bearer);
      assert.equal(answer.status, 200, answer.text);
      return answer;
    };
    const same = (await replay(POLICY)).json<ReplayResult>();
    assert.ok(same.decisions > 20, JSON.stringify(same));
    // Only what other policies of these tests had denied comes out otherwise.
    assert.ok(same.examples.every(({ rule_before: rule }) => rule !== null && rule !== 'analyst-infer'));
    const answer = await replay(withRule(NOBODY_ASKS));
    const draft = answer.json<ReplayResult>();
    assert.equal(draft.next_cursor, null);
    assert.equal(draft.unreadable, 0);
    assert.ok(draft.changed > 0);
    const changed = draft.examples.filter(({ before: was }) => was === 'allow');
    assert.ok(changed.length > 0);
    for (const one of changed)
      assert.deepEqual(
        [one.action, one.rule_before, one.after, one.rule_after],
        ['infer', 'analyst-infer', 'deny', 'nobody-asks'],
      );
    const [found] = await a.database.sql(
      "SELECT count(*)::int AS n FROM entry WHERE kind = 'intent' AND action = 'infer'",
    );
    assert.equal(changed.length, found?.['n']);
    const outcome = await a.outcome(idOf(answer));
    assert.deepEqual([outcome.action, outcome.event['decisions']], ['policy.replay', draft.decisions]);
  });

  it('a replica that nobody asks anything hears of it', async () => {
    const loaded = async () => {
      const text = await (await fetch(`http://${b.gateway.metricsAddress}/metrics`)).text();
      return Number(/^strongroom_policy_version (\d+)$/m.exec(text)?.[1]);
    };
    await put(withRule(NOBODY_ASKS));
    const version = (await a.client.get('/admin/policies', admin.bearer)).json<{ current: number }>().current;
    await eventually(async () => (await loaded()) === version);
    await putBack();
  });

  it('a policy whose NOTIFY nobody heard holds all the same: its version is checked at admission', async () => {
    // As a database of the same content would have it after a restore: no message, only a higher version.
    await a.database.sql(
      `INSERT INTO policy_version (version, model, policy, sha256, created_by, created_at)
       SELECT max(version) + 1, (SELECT model FROM policy_version WHERE version = 1), $1, 'x', 'system', now() FROM policy_version`,
      [withRule(NOBODY_ASKS)],
    );
    for (const test of [a, b]) assert.equal((await ask(test)).status, 404);
    await putBack();
    for (const test of [a, b]) assert.equal((await ask(test)).status, 200);
  });

  it('paths in other letters and encodings never reach what policy guards', async () => {
    for (const path of [
      '/ADMIN/policies',
      '/Admin/policies',
      '/admin/Policies',
      '/admin//policies',
      '//admin/policies',
      '/admin/policies/',
      '/admin/%70olicies',
      '/admin%2fpolicies',
      '/admin/./policies',
      '/admin/x/../policies',
      '/admin/%2e/policies',
      '/admin/policies%00',
      '/admin/policies;x=1',
    ]) {
      for (const who of [admin.bearer, analyst.bearer, {}]) {
        const answer = await a.client.request('GET', path, { headers: who });
        assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
        assert.ok(!answer.text.includes('sha256'), path);
      }
    }
  });
});
