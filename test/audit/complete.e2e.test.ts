import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { generateSync } from 'otplib';
import { ScoringClient } from '#scoring/client.shared.ts';
import type { Descriptor } from '#scoring/descriptor.shared.ts';
import { FRAME_TYPE } from '#scoring/frame.shared.ts';
import { SoftAuthenticator } from '../fakes/authenticator.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, present, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';
import { declaredRoutes } from '../harness/route-table.ts';
import { assertionFor, enter, type KeyHolder } from '../identity/passkey-people.ts';
import { CREDIT_RISK, madeRows, openSeal } from '../scoring/models.ts';
import { RECORDED } from './recorded-kinds.ts';
import { type Learnt, onModel, onUser, type Sent, type Step, USER } from './walk.ts';

const NEW_PASSWORD = 'a long sentence that nobody has used';
const POLICY = readFileSync(new URL('../../policies/policy.csv', import.meta.url), 'utf8');
const NEW_POLICY = `p, walked, role:analyst, model, *, infer, *, 0, deny, , Closed for the walk.\n${POLICY}`;

/**
 * Every route that records in full, by its id, in an order in which each can be done. A route that is added without an
 * entry fails the test: whoever adds it says how its record is found. A text: why it can't be done here, and which test does.
 */
const WALK: Readonly<Record<string, Step | string>> = {
  'chat.completions': {
    who: 'analyst',
    body: () => ({ model: 'demo', messages: [{ role: 'user', content: 'x' }] }),
  },
  completions: { who: 'analyst', body: () => ({ model: 'demo', prompt: 'x' }) },
  embeddings: { who: 'analyst', body: () => ({ model: 'vectors', input: ['x', 'y'] }) },
  'scoring.keys.create': {
    who: 'analyst',
    path: () => '/v1/scoring/keys?model=credit-risk',
    body: ({ customer }) => customer.keys(),
    learn: (answer, learnt) => Object.assign(learnt, { scoring: String(answer.json()['id']) }),
  },
  'scoring.evaluate': {
    who: 'analyst',
    path: () => '/v1/scoring/models/credit-risk/evaluate?mode=single',
    body: ({ customer, scoring }) => customer.encryptSingle(madeRows(CREDIT_RISK, 1)[0] ?? [], scoring),
  },
  'audit.events': { who: 'auditor' },
  'audit.event': { who: 'auditor', path: () => '/audit/events/0' },
  'audit.export': { who: 'auditor' },
  'audit.checkpoint': { who: 'auditor' },
  'audit.proof.inclusion': { who: 'auditor', path: () => '/audit/proof/inclusion?seq=0' },
  'audit.proof.consistency': { who: 'auditor', path: () => '/audit/proof/consistency?from=1' },
  'admin.models.pin': onModel('pin'),
  'admin.models.unpin': onModel('unpin'),
  'admin.models.unload': onModel('unload'),
  'admin.models.load': onModel('load'),
  'admin.users.create': {
    who: 'admin',
    body: () => USER,
    learn: (answer, learnt) => Object.assign(learnt, { user: /usr_[0-9a-f]{32}/.exec(answer.text)?.[0] ?? '' }),
  },
  'admin.users.update': {
    who: 'admin',
    path: ({ user }) => `/admin/users/${user}`,
    body: () => ({ clearance: 2 }),
  },
  'admin.users.disable': onUser('disable'),
  'admin.users.enable': onUser('enable'),
  'admin.users.reset': onUser('reset'),
  'admin.users.erase': { who: 'admin', path: ({ leaver }) => `/admin/users/${leaver}/erase` },
  'admin.quotas.set': {
    who: 'admin',
    path: ({ user }) => `/admin/quotas/user:${user}/requests_day`,
    body: () => ({ amount: 5 }),
  },
  'admin.quotas.clear': { who: 'admin', path: ({ user }) => `/admin/quotas/user:${user}/requests_day` },
  'admin.keys.create': {
    who: 'admin',
    body: ({ service }) => ({ account: service, name: 'walked' }),
    learn: (answer, learnt) => Object.assign(learnt, { serviceKey: String(answer.json()['id']) }),
  },
  'admin.keys.revoke': { who: 'admin', path: ({ serviceKey }) => `/admin/keys/${serviceKey}` },
  'admin.policies.import': { who: 'admin', body: () => ({ policy: NEW_POLICY, reason: 'the walk' }) },
  'admin.policies.rollback': {
    who: 'admin',
    path: () => '/admin/policies/1/rollback',
    body: () => ({ reason: 'the way back' }),
  },
  'audit.policies.replay': { who: 'auditor', body: () => ({ policy: NEW_POLICY }) },
  'admin.holds.place': {
    who: 'admin',
    body: ({ user }) => ({ actor: user, reason: 'the walk' }),
    learn: (answer, learnt) => Object.assign(learnt, { hold: String(answer.json()['id']) }),
  },
  'admin.holds': { who: 'auditor' },
  'admin.holds.release': {
    who: 'admin',
    path: ({ hold }) => `/admin/holds/${hold}/release`,
    body: () => ({ reason: 'the way back' }),
  },
  'keys.create': {
    who: 'analyst',
    body: ({ password }) => ({ name: 'walked', password }),
    learn: (answer, learnt) => Object.assign(learnt, { key: String(answer.json()['id']) }),
  },
  'keys.revoke': { who: 'analyst', path: ({ key }) => `/auth/keys/${key}` },
  'auth.sessions.end': { who: 'analyst', path: ({ session }) => `/auth/sessions/${session}` },
  'auth.totp.enrol': {
    who: 'auditor',
    body: ({ password }) => ({ password }),
    learn: (answer, learnt) => Object.assign(learnt, { secret: String(answer.json()['secret']) }),
  },
  'auth.totp.activate': { who: 'auditor', body: ({ secret }) => ({ code: generateSync({ secret }) }) },
  'auth.password': {
    who: 'analyst',
    body: ({ password }) => ({ current_password: password, new_password: NEW_PASSWORD }),
    returns: 'password',
  },
  'auth.passkeys.begin': {
    who: 'analyst',
    body: () => ({ password: NEW_PASSWORD }),
    learn: (answer, learnt) => Object.assign(learnt, { creation: answer.json() }),
  },
  'auth.passkeys.register': {
    who: 'analyst',
    body: ({ device, creation }) => ({ name: 'walked', attestation: device.create(present(creation)) }),
    learn: (answer, learnt) =>
      Object.assign(learnt, { passkey: answer.json<{ passkey: { id: string } }>().passkey.id }),
    returns: 'passkey',
  },
  'auth.passkeys.rename': {
    who: 'analyst',
    path: ({ passkey }) => `/auth/webauthn/keys/${passkey}`,
    body: () => ({ name: 'walked on' }),
  },
  'auth.passkeys.remove': { who: 'analyst', path: ({ passkey }) => `/auth/webauthn/keys/${passkey}` },
  'admin.scoring.install': 'needs a model file: test/scoring/scoring.e2e',
  'admin.scoring.activate': 'needs a model that was installed: test/scoring/scoring.e2e',
  'auth.token': 'needs an audience in the configuration: test/identity/token.e2e',
};

describe('what is recorded is complete', () => {
  let test: TestGateway;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  const sessions = new Map<string, Session>();

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({
      models: { demo: upstreamEntry(upstream.url), vectors: upstreamEntry(upstream.url, { embedding: true }) },
      scoring: { enabled: true },
    });
    for (const role of ['analyst', 'auditor', 'admin'] as const) sessions.set(role, await test.signIn(role));
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const headersOf = (who: Step['who']) => sessions.get(who)?.bearer ?? {};
  const holder = (who: Step['who'], device: SoftAuthenticator): KeyHolder => ({
    ...present(sessions.get(who)),
    username: test.account(who).username,
    password: NEW_PASSWORD,
    secret: null,
    device,
  });

  /** The call, and once more with the proof where it asks for a second factor. */
  async function call(who: Step['who'], method: string, path: string, { body, device }: Sent = {}): Promise<Answer> {
    const send = (more: Readonly<Record<string, string>> = {}) =>
      test.client.request(method, path, {
        ...(body instanceof Uint8Array ? { raw: Buffer.from(body) } : body === undefined ? {} : { body }),
        headers: { ...(body instanceof Uint8Array && { 'content-type': FRAME_TYPE }), ...headersOf(who), ...more },
      });
    const first = await send();
    if (first.code !== 'step_up_required') return first;
    const { challenge, factors } = first.json<{ challenge: string; factors: string }>();
    const answered =
      factors === 'passkey'
        ? { assertion: await assertionFor(test, holder(who, present(device)), challenge) }
        : { code: await test.code() };
    const proof = await test.client.post('/auth/step-up', { challenge, ...answered }, headersOf(who));
    return send({ 'step-up-proof': String(proof.json()['proof']) });
  }

  it('every route that declares `records: full` leaves its intent and its outcome, with who, what and why', async () => {
    const routes = (await declaredRoutes()).filter(({ records }) => records === 'full');
    const ids = routes.map(({ id }) => id);
    assert.deepEqual(ids.toSorted(), Object.keys(WALK).toSorted(), 'each recorded route has its entry in the walk');
    const others = await test.signIn('analyst');
    const list = (await test.client.get('/auth/sessions', others.bearer)).json<{
      data: { id: string; current: boolean }[];
    }>();
    const made = async (username: string, role: string) => {
      const body = { username, roles: [role], department: 'risk', clearance: 1 };
      return (await call('admin', 'POST', '/admin/users', { body })).json<{ user: { id: string } }>().user.id;
    };
    const leaver = await made('leaver', 'analyst');
    await call('admin', 'POST', `/admin/users/${leaver}/disable`);
    const customer = new ScoringClient(
      await openSeal(),
      await eventually(async () => {
        const { data } = (await test.client.get('/v1/scoring/models', others.bearer)).json<{ data: Descriptor[] }>();
        return data.find(({ id }) => id === 'credit-risk');
      }),
    );
    const learnt: Learnt = {
      user: '',
      key: '',
      secret: '',
      hold: '',
      serviceKey: '',
      passkey: '',
      creation: null,
      scoring: '',
      service: await made('etl', 'service'),
      leaver,
      customer,
      device: new SoftAuthenticator(test.url),
      session: present(list.data.find(({ current }) => current)).id,
      password: '',
    };
    for (const [id, step] of Object.entries(WALK)) {
      if (typeof step === 'string') continue;
      const [method = '', declared = ''] = present(routes.find((one) => one.id === id)).route.split(' ');
      const own = { ...learnt, password: test.account(step.who).password };
      const body = step.body?.(own);
      const path = step.path?.(own) ?? declared;
      const answer = await call(step.who, method, path, { body, device: learnt.device });
      assert.ok(answer.status < 300, `${id}: ${answer.status} ${answer.text.slice(0, 200)}`);
      step.learn?.(answer, learnt);
      const [who, { returns }] = [step.who, step];
      if (returns === 'password') sessions.set(who, await test.signIn(who, NEW_PASSWORD));
      if (returns === 'passkey') sessions.set(who, await enter(test, holder(who, learnt.device)));
      const request = String(answer.headers['x-request-id']);
      const outcome = await test.outcome(request);
      const intent = present((await test.records(request)).find(({ kind }) => kind === 'intent'));
      const subject = sessions.get(step.who)?.subject;
      assert.deepEqual([intent.actor, outcome.actor], [subject, subject], id);
      assert.ok(intent.seq < outcome.seq, id);
      assert.deepEqual([intent.event['route'], outcome.outcome], [id, 'completed']);
      assert.ok(intent.event['rule'] && intent.event['policy_version'], `${id}: why it was allowed`);
    }
  });

  it('every kind of event that has no route of its own is there, too', async () => {
    const { username } = test.account('admin');
    const wrong = await test.client.post('/auth/login', { username, password: 'not the password at all' });
    const nobody = await test.client.post('/auth/login', { username: 'nobody-of-this-name', password: 'x'.repeat(20) });
    const denied = await test.client.get('/admin/users', headersOf('auditor'));
    assert.ok(denied.status === 401 || denied.status === 403);
    await test.client.post('/auth/logout', undefined, headersOf('admin'));
    // A refusal is recorded behind its answer, and what came before it stands before it: nothing more is waited for,
    // so that what is missing is named.
    for (const { headers } of [wrong, nobody, denied]) await test.recorded(String(headers['x-request-id']));
    const rows = await test.database.sql<{ kind: string; action: string; outcome: string }>(
      'SELECT DISTINCT kind, action, outcome FROM entry',
    );
    const there = new Set(rows.map(({ kind, action, outcome }) => `${kind} ${action} ${outcome}`));
    const wanted = Object.entries(RECORDED).flatMap(([kind, all]) => all.map((one) => `${kind} ${one}`));
    assert.deepEqual(
      wanted.filter((one) => !there.has(one)),
      [],
    );
  });
});
