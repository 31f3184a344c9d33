import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { TestGateway, upstreamEntry } from '../harness/gateway.ts';
import {
  codeOf,
  firstAdmin,
  forgetGuesses,
  forgetSteps,
  newPerson,
  PASSWORD,
  type Person,
  stepped,
} from '../identity/people.ts';

interface Way {
  readonly name: string;
  /** What the caller shows while he streams; his session unless it says otherwise. */
  readonly withKey?: true;
  /** On the other gateway. Returns the answer to the change. */
  readonly change: (who: Person, key: { id: string }) => Promise<{ status: number; text: string }>;
}

describe('promise 12: what ends a session ends its running streams, also on the other replica', () => {
  let upstream: FakeUpstream;
  let a: TestGateway;
  let b: TestGateway;
  let admin: Person;
  let number = 0;

  before(async () => {
    // It speaks so slowly that it is still within an analyst's bound of max_tokens when the change comes.
    upstream = await startFakeUpstream({ loop: true, pauseMs: 20 });
    a = await TestGateway.open({ models: { endless: upstreamEntry(upstream.url) } });
    b = await a.replica({ models: {} });
    admin = await firstAdmin(a);
  });
  after(async () => {
    await b[Symbol.asyncDispose]();
    await a[Symbol.asyncDispose]();
    await upstream.close();
  });
  beforeEach(async () => {
    await forgetGuesses(a);
    await forgetSteps(a);
  });

  const change = (method: string, path: string, body?: unknown) =>
    stepped(b, admin, { method, path, ...(body === undefined ? {} : { body }) });
  const ways: readonly Way[] = [
    { name: 'a disable', change: ({ subject }) => change('POST', `/admin/users/${subject}/disable`) },
    {
      name: 'a change of roles',
      change: ({ subject }) => change('PATCH', `/admin/users/${subject}`, { roles: ['auditor'] }),
    },
    {
      name: 'a change of attributes',
      change: ({ subject }) => change('PATCH', `/admin/users/${subject}`, { clearance: 3 }),
    },
    { name: 'a reset', change: ({ subject }) => change('POST', `/admin/users/${subject}/reset`) },
    {
      name: 'a change of the password',
      change: ({ bearer }) =>
        b.client.post('/auth/password', { current_password: PASSWORD, new_password: `${PASSWORD}!` }, bearer),
    },
    {
      name: 'a new factor',
      change: async ({ bearer }) => {
        const begun = await b.client.post('/auth/totp/enrol', { password: PASSWORD }, bearer);
        return b.client.post('/auth/totp/activate', { code: codeOf(begun.json<{ secret: string }>().secret) }, bearer);
      },
    },
    { name: 'a sign-out', change: ({ bearer }) => b.client.request('POST', '/auth/logout', { headers: bearer }) },
    {
      name: 'a revoked key',
      withKey: true,
      change: (who, { id }) => b.client.request('DELETE', `/auth/keys/${id}`, { headers: who.bearer }),
    },
    {
      name: 'a key that an admin revokes',
      withKey: true,
      change: (_who, { id }) => change('DELETE', `/admin/keys/${id}`),
    },
    {
      name: 'a reset of a key’s owner',
      withKey: true,
      change: ({ subject }) => change('POST', `/admin/users/${subject}/reset`),
    },
  ];

  for (const way of ways)
    it(`${way.name} does, and it is recorded`, async () => {
      const who = await newPerson(a, admin, { username: `user-${++number}`, roles: ['analyst'] });
      const made = await a.client.post('/auth/keys', { name: 'k', password: PASSWORD }, who.bearer);
      const key = made.json<{ id: string; key: string }>();
      const answer = await a.client.open('POST', '/v1/chat/completions', {
        headers: way.withKey ? { 'x-api-key': key.key } : who.bearer,
        body: { model: 'endless', messages: [{ role: 'user', content: 'Go on.' }], stream: true },
      });
      assert.equal(answer.status, 200);
      const events = answer.events();
      for (let seen = 0; seen < 3; seen++) assert.equal((await events.next()).done, false);
      const done = await way.change(who, key);
      assert.ok(done.status < 300, done.text);
      const all: string[] = [];
      for await (const event of events) all.push(event);
      assert.equal(JSON.parse(all.at(-1) ?? '{}').error?.code, 'session_ended');
      assert.ok(!all.includes('[DONE]'));
      const requestId = String(answer.headers['x-request-id']);
      const outcome = await a.outcome(requestId);
      assert.deepEqual([outcome.outcome, outcome.event['outcome_code']], ['failed', 'session_ended']);
    });
});
