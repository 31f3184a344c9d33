import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const ASK = { model: 'demo', messages: [{ role: 'user', content: 'x' }], max_tokens: 8 };

describe('promise 13: the quota of a day, through HTTP and over two replicas', () => {
  let test: TestGateway;
  let replica: TestGateway;
  let analyst: Session;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    upstream = await startFakeUpstream();
    const models = { demo: upstreamEntry(upstream.url) };
    test = await TestGateway.open({ models });
    replica = await test.replica({ models });
    analyst = await test.signIn('analyst');
  });
  beforeEach(async () => {
    await test.database.sql('TRUNCATE quota_counter');
    await limit('requests_day', 1000);
    await limit('tokens_day', 1_000_000);
  });
  after(async () => {
    await replica[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const limit = (kind: string, amount: number) =>
    test.database.sql(
      'INSERT INTO quota_limit VALUES ($1, $2, $3) ON CONFLICT (scope, kind) DO UPDATE SET amount = excluded.amount',
      [`user:${analyst.subject}`, kind, amount],
    );
  const ask = (of: TestGateway, change: object = {}) =>
    of.client.post('/v1/chat/completions', { ...ASK, ...change }, analyst.bearer);

  it('says it as OpenAI does, and when to come back', async () => {
    await limit('requests_day', 1);
    const first = await ask(test);
    assert.equal(first.headers['x-ratelimit-limit-requests'], '1');
    assert.equal(first.headers['x-ratelimit-remaining-requests'], '0');
    const { headers, status, json } = await ask(test);
    assert.equal(status, 429);
    const { error } = json<{ error: Record<string, unknown> }>();
    assert.deepEqual([error['type'], error['code']], ['rate_limit_error', 'rate_limit_exceeded']);
    assert.match(String(error['message']), /1 requests per day/);
    const seconds = Number(headers['retry-after']);
    assert.ok(seconds > 0 && seconds <= 86_400);
    assert.equal(headers['x-ratelimit-limit-requests'], '1');
    assert.equal(headers['x-ratelimit-remaining-requests'], '0');
    assert.equal(headers['x-ratelimit-reset-requests'], `${seconds}s`);
    const [denial] = await test.records(String(headers['x-request-id']));
    assert.equal(denial?.outcome, 'denied');
  });

  it('of 60 at once with 25 left, 25 are answered', async () => {
    await limit('requests_day', 25);
    const asked = upstream.seen.length;
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) => ask(n % 2 === 0 ? test : replica, { stream: n % 3 === 0 })),
    );
    const byStatus = Map.groupBy(answers, ({ status }) => status);
    assert.deepEqual([byStatus.get(200)?.length, byStatus.get(429)?.length], [25, 35]);
    assert.equal(upstream.seen.length - asked, 25, 'no other was computed');
    assert.equal((await test.usage(analyst)).requests.used, 25);
    assert.equal((await ask(replica)).status, 429, 'there is none left anywhere');
  });

  it('tokens are reserved for the longest answer and settled to what was used', async () => {
    const answer = await ask(test);
    const { total_tokens } = answer.json<{ usage: { total_tokens: number } }>().usage;
    assert.equal((await test.usage(analyst)).tokens.used, total_tokens);
    await limit('tokens_day', total_tokens + 20);
    const refused = await ask(test, { max_tokens: 1000 });
    assert.deepEqual(
      [refused.status, refused.json<{ error: object }>().error],
      [
        429,
        {
          ...refused.json<{ error: object }>().error,
          quota: 'tokens_day',
          scope: 'user',
        },
      ],
    );
    assert.equal((await test.usage(analyst)).tokens.used, total_tokens, 'a refusal takes nothing');
  });

  it('where no limit is set there is no access, never no limit', async () => {
    await test.database.sql('DELETE FROM quota_limit');
    try {
      const answer = await ask(test);
      assert.equal(answer.status, 429);
      assert.match(answer.text, /No quota/);
    } finally {
      await test.database.sql(
        "INSERT INTO quota_limit SELECT 'role:analyst', kind, 1000000 FROM unnest('{requests_day,tokens_day,requests_minute,tokens_minute,concurrent}'::text[]) kind",
      );
    }
  });
});
