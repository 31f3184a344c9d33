import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, eventually, madeEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { OpenAnswer } from '../harness/https-client.ts';

const MESSAGES = [{ role: 'user', content: 'Go on for ever.' }];

interface ModelState {
  readonly busy: number;
  readonly queued: number;
  readonly pid: number;
  readonly state: string;
}

describe('answers under way', () => {
  let test: TestGateway;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;
  let admin: Session;
  let analyst: Session;

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open(async (folder) => ({
      models: {
        demo: await demoEntry(),
        endless: await madeEntry(folder, 'endless', { loop: true }, { contextSize: 4096, maxOutputTokens: 4000 }),
        slow: upstreamEntry(upstream.url),
      },
    }));
    admin = await test.signIn('admin');
    await test.allowLongAnswers();
  });
  beforeEach(async () => {
    upstream.set({});
    analyst = await test.signIn('analyst');
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  async function model(id: string): Promise<ModelState> {
    const { data } = (await test.client.get('/admin/models', admin.bearer)).json<{
      data: (ModelState & { id: string })[];
    }>();
    const found = data.find((candidate) => candidate.id === id);
    assert.ok(found);
    return found;
  }
  const open = (name: string, change: object = {}) =>
    test.client.open('POST', '/v1/chat/completions', {
      headers: analyst.bearer,
      body: { model: name, messages: MESSAGES, stream: true, ...change },
    });
  const requestIdOf = (answer: OpenAnswer) => String(answer.headers['x-request-id']);

  /** Reads that many pieces of text and leaves the rest. */
  async function read(events: AsyncGenerator<string>, pieces: number): Promise<void> {
    for (let seen = 0; seen < pieces; ) {
      const { value, done } = await events.next();
      assert.ok(!done, 'the answer ended early');
      if (JSON.parse(value).choices[0]?.delta.content) seen++;
    }
  }
  async function rest(events: AsyncGenerator<string>): Promise<string[]> {
    const all: string[] = [];
    for await (const event of events) all.push(event);
    return all;
  }

  it('promise 16: a stream is hung up at its fifth token', async () => {
    const before = await test.usage(analyst);
    const answer = await open('endless');
    await read(answer.events(), 5);
    answer.hangUp();
    const outcome = await test.outcome(requestIdOf(answer));
    assert.equal((await model('endless')).busy, 0, 'the slot is free before the outcome is written');
    assert.equal(outcome.outcome, 'client_closed');
    const made = Number(outcome.event['completion_tokens']);
    assert.ok(made >= 5 && made < 4000, `${made} tokens`);
    assert.equal(outcome.event['finish_reason'], null);
    const usage = await test.usage(analyst);
    assert.equal(usage.requests.used - before.requests.used, 1);
    assert.equal(usage.tokens.used - before.tokens.used, Number(outcome.event['prompt_tokens']) + made);
  });

  it('promise 16: a caller who waits for the whole hangs up', async () => {
    const before = await test.usage(analyst);
    const answer = open('endless', { stream: false, max_tokens: 4000 });
    answer.catch(() => undefined);
    await eventually(async () => (await model('endless')).busy === 1);
    const [intent] = await test.database.sql<{ request_id: string }>('SELECT request_id FROM open_intent');
    // There is no answer to drop yet: the whole client goes.
    test.trust(test.authority);
    const outcome = await test.outcome(String(intent?.request_id));
    assert.equal(outcome.outcome, 'client_closed');
    assert.equal((await model('endless')).busy, 0);
    const used = Number(outcome.event['prompt_tokens']) + Number(outcome.event['completion_tokens']);
    assert.equal((await test.usage(analyst)).tokens.used - before.tokens.used, used);
    await assert.rejects(answer);
  });

  it('promise 12: a stream ends with an error and no [DONE] when its session signs out', async () => {
    const answer = await open('endless');
    const events = answer.events();
    await read(events, 3);
    assert.equal((await test.client.request('POST', '/auth/logout', { headers: analyst.bearer })).status, 204);
    const last = (await rest(events)).at(-1) ?? '';
    assert.equal(JSON.parse(last).error.code, 'session_ended');
    const outcome = await test.outcome(requestIdOf(answer));
    assert.deepEqual([outcome.outcome, outcome.event['outcome_code']], ['failed', 'session_ended']);
  });

  it('promise 12: and when the password changes in another session', async () => {
    const password = 'correct horse battery';
    const answer = await open('endless');
    const events = answer.events();
    await read(events, 3);
    const other = await test.signIn('analyst');
    const from = { current_password: test.account('analyst').password, new_password: password };
    assert.equal((await test.client.post('/auth/password', from, other.bearer)).status, 204);
    assert.equal(JSON.parse((await rest(events)).at(-1) ?? '').error.code, 'session_ended');
    const again = await test.signIn('analyst', password);
    const back = { current_password: password, new_password: from.current_password };
    assert.equal((await test.client.post('/auth/password', back, again.bearer)).status, 204);
  });

  it('the engine’s child is killed in mid-stream: one error event, recorded, and the next request works', async () => {
    const answer = await open('endless');
    const events = answer.events();
    await read(events, 3);
    const { pid } = await model('endless');
    process.kill(pid, 'SIGKILL');
    const last = await rest(events);
    assert.equal(last.filter((event) => 'error' in JSON.parse(event)).length, 1);
    assert.equal(JSON.parse(last.at(-1) ?? '').error.code, 'engine_failed');
    const outcome = await test.outcome(requestIdOf(answer));
    assert.deepEqual([outcome.outcome, outcome.event['outcome_code']], ['failed', 'engine_failed']);
    assert.ok(Number(outcome.event['completion_tokens']) >= 3);
    const other = await test.client.post('/v1/chat/completions', { model: 'demo', messages: MESSAGES }, analyst.bearer);
    assert.equal(other.status, 200, 'another model goes on');
    await eventually(async () => (await model('endless')).state === 'ready');
    assert.notEqual((await model('endless')).pid, pid);
    const next = await open('endless', { max_tokens: 3 });
    assert.equal((await rest(next.events())).at(-1), '[DONE]');
  });

  it('the model server breaks off: an error event and no [DONE]', async () => {
    upstream.set({ breakAfter: 3, pauseMs: 5 });
    const answer = await open('slow');
    const events = await rest(answer.events());
    assert.equal(JSON.parse(events.at(-1) ?? '').error.code, 'engine_failed');
    assert.equal((await test.outcome(requestIdOf(answer))).outcome, 'failed');
  });

  it('the model server refuses before the first token: a status, and nothing is charged', async () => {
    const before = await test.usage(analyst);
    upstream.set({ failure: { status: 500, body: 'a stack trace of theirs' } });
    const answer = await test.client.post(
      '/v1/chat/completions',
      { model: 'slow', messages: MESSAGES },
      analyst.bearer,
    );
    assert.deepEqual([answer.status, answer.code], [503, 'engine_failed']);
    assert.doesNotMatch(answer.text, /stack trace/);
    assert.deepEqual(await test.usage(analyst), before);
  });

  it('a hang-up reaches the model server', async () => {
    upstream.set({ loop: true, pauseMs: 5 });
    const answer = await open('slow');
    await read(answer.events(), 5);
    assert.equal(upstream.running, 1);
    answer.hangUp();
    await eventually(() => upstream.running === 0);
    assert.equal((await test.outcome(requestIdOf(answer))).outcome, 'client_closed');
  });

  it('a slow reader gets everything', async () => {
    const pieces = Array.from({ length: 4000 }, (_, n) => `${n}:${'x'.repeat(4000)} `);
    upstream.set({ pieces });
    // As many tokens as so long a text can be.
    const answer = await open('slow', { max_tokens: 260_000 });
    // Nothing is read until the buffers of both sides are full and the model's server has to wait.
    await once(answer.message, 'readable');
    await eventually(() => upstream.isHeldUp);
    const events = await rest(answer.events());
    assert.equal(events.at(-1), '[DONE]');
    const text = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]?.delta.content ?? '');
    assert.equal(text.join(''), pieces.join(''));
  });
});
