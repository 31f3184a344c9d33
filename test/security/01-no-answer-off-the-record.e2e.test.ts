import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import { runStrongroom } from '../harness/gateway-process.ts';
import type { Answer } from '../harness/https-client.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }] };

describe('promise 1: no model output without a committed audit intent', () => {
  let test: TestGateway;
  let analyst: Session;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open({
      models: { demo: upstreamEntry(upstream.url) },
      database: { commitTimeoutMs: 400 },
    });
    analyst = await test.signIn('analyst');
    assert.equal((await ask()).status, 200);
  });
  afterEach(async () => {
    upstream.set({});
    if (test.database.isUp) {
      test.database.thaw();
      test.database.limitFiles(null);
    } else await test.database.start();
    await eventually(async () => (await ask()).status === 200);
    await assertClean();
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const ask = (change: object = {}) => test.client.post('/v1/chat/completions', { ...ASK, ...change }, analyst.bearer);

  function assertUnavailable(answer: Answer): void {
    assert.deepEqual([answer.status, answer.code], [503, 'audit_unavailable'], answer.text);
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
  }

  async function assertNothingRuns(): Promise<void> {
    const asked = upstream.seen.length;
    const answers = await Promise.all([ask(), ask({ stream: true }), ask()]);
    for (const answer of answers) assertUnavailable(answer);
    assert.equal(upstream.seen.length, asked, 'the model was not asked');
    const { username, password } = test.account('analyst');
    assertUnavailable(await test.client.post('/auth/login', { username, password }));
    const reads = ['/v1/usage', '/v1/models', '/auth/session', '/auth/keys'];
    for (const answer of await Promise.all(reads.map((path) => test.client.get(path, analyst.bearer))))
      assertUnavailable(answer);
    assert.equal((await test.client.get('/health/live')).status, 200);
    assert.equal((await test.client.get('/health')).status, 200);
    const readiness = async () => (await test.client.get('/health/ready')).text;
    await eventually(async () => (await readiness()) === '{"status":"not_ready"}');
    const metrics = await fetch(`http://${test.gateway.metricsAddress}/metrics`);
    assert.match(await metrics.text(), /strongroom_audit_available 0/);
  }

  async function assertWorksAgain(): Promise<void> {
    await eventually(async () => (await ask()).status === 200);
    await test.signIn('analyst');
    await eventually(async () => (await test.client.get('/health/ready')).status === 200);
    const [{ open } = { open: -1 }] = await test.database.sql<{ open: number }>(
      'SELECT count(*)::integer AS open FROM open_intent',
    );
    assert.equal(open, 0, 'nothing is left open');
  }

  /** As `strongroom audit verify` does, beside the running gateway. */
  async function assertClean(): Promise<void> {
    const verified = await runStrongroom(['audit', 'verify', '--json'], { STRONGROOM_DATA_DIR: test.dataDir });
    const { ok, openCount, findings } = JSON.parse(verified.stdout);
    assert.deepEqual([verified.code, ok, openCount, findings], [0, true, 0, []], verified.stdout);
  }

  it('Postgres is stopped', async () => {
    await test.database.stop();
    await assertNothingRuns();
    await test.database.start();
    await assertWorksAgain();
  });

  it('Postgres has crashed', async () => {
    await test.database.kill();
    await assertNothingRuns();
    await test.database.start();
    await assertWorksAgain();
  });

  it('Postgres is frozen: connections stay open and nothing answers', async () => {
    const before = (await test.usage(analyst)).requests.used;
    test.database.freeze();
    await assertNothingRuns();
    test.database.thaw();
    await assertWorksAgain();
    // What was asked for while it was frozen may have arrived there after all: it is taken back.
    await eventually(async () => (await test.usage(analyst)).requests.used >= before + 1);
    const rows = await test.database.sql<{ outcome: string }>(
      "SELECT outcome FROM entry WHERE kind = 'outcome' AND outcome NOT IN ('completed', 'not_run')",
    );
    assert.deepEqual(rows, []);
  });

  it('Postgres refuses to write', async () => {
    await test.database.sql(`ALTER SYSTEM SET default_transaction_read_only = on`);
    await test.database.sql('SELECT pg_reload_conf()');
    await eventually(async () => (await ask()).status === 503);
    const asked = upstream.seen.length;
    assertUnavailable(await ask());
    assert.equal(upstream.seen.length, asked);
    await test.database.sql(`SET default_transaction_read_only = off`);
    await test.database.sql(`ALTER SYSTEM RESET default_transaction_read_only`);
    await test.database.sql('SELECT pg_reload_conf()');
    await assertWorksAgain();
  });

  it('the disk is full: the log can not grow, and the server goes on', async () => {
    // A table longer than a segment of the WAL: it hits the limit first, as it does on a full disk, where the WAL's own
    // segments are there already. Rows of 2,032 bytes fill their pages, so that there is no room left in between.
    await test.database.sql(`
      INSERT INTO dedupe (event_id, verdict, created_at)
        SELECT gen_random_uuid(), repeat('x', 1976), now() + interval '1 day' FROM generate_series(1, 9000)`);
    test.database.limitFiles(16 * 1024 * 1024);
    await eventually(async () => (await ask()).status === 503);
    const asked = upstream.seen.length;
    for (const answer of await Promise.all([ask(), ask({ stream: true }), ask()])) assertUnavailable(answer);
    assert.equal(upstream.seen.length, asked, 'the model was not asked');
    const { username, password } = test.account('analyst');
    assertUnavailable(await test.client.post('/auth/login', { username, password }));
    assert.ok(test.database.isUp, 'the server itself has not gone down');
    test.database.limitFiles(null);
    await assertWorksAgain();
    await test.database.sql("DELETE FROM dedupe WHERE verdict LIKE 'xxx%'");
  });

  it('the disk is full to the last byte: Postgres itself goes down', async () => {
    test.database.limitFiles(8192);
    await eventually(async () => (await ask()).status === 503);
    const asked = upstream.seen.length;
    for (const answer of await Promise.all([ask(), ask({ stream: true })])) assertUnavailable(answer);
    assert.equal(upstream.seen.length, asked);
    await eventually(() => !test.database.isUp);
    await test.database.start();
    await assertWorksAgain();
  });

  it('Postgres dies under a stream: it is not completed, and the outcome is recorded later', async () => {
    upstream.set({ pieces: ['never', ' complete'], silentAfter: 1 });
    const answer = await test.client.open('POST', '/v1/chat/completions', {
      headers: analyst.bearer,
      body: { ...ASK, stream: true },
    });
    const events = answer.events();
    await events.next();
    await test.database.kill();
    const rest: string[] = [];
    for await (const event of events) rest.push(event);
    assert.equal(JSON.parse(rest.at(-1) ?? '{}').error?.code, 'audit_unavailable');
    await test.database.start();
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    assert.deepEqual([outcome.outcome, outcome.event['outcome_code']], ['failed', 'audit_unavailable']);
  });

  it('Postgres dies while an answer is made: what was made does not go out whole', async () => {
    for (const stream of [true, false]) {
      const { promise: gate, resolve: open } = Promise.withResolvers<void>();
      upstream.set({ pieces: ['made'], until: gate });
      const answered = test.client.open('POST', '/v1/chat/completions', {
        headers: analyst.bearer,
        body: { ...ASK, stream },
      });
      await eventually(() => upstream.running === 1);
      await test.database.kill();
      open();
      const answer = await answered;
      let text = '';
      for await (const part of answer.message.setEncoding('utf8')) text += part;
      assert.ok(!text.includes('[DONE]'));
      assert.match(text, /audit_unavailable/);
      if (!stream) assert.equal(answer.status, 503);
      if (!stream) assert.doesNotMatch(text, /made/);
      await test.database.start();
      const outcome = await test.outcome(String(answer.headers['x-request-id']));
      assert.equal(outcome.outcome, 'completed', 'the record says what was computed');
      await eventually(async () => (await ask()).status === 200);
    }
  });
});
