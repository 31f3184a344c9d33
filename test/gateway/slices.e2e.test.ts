import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { QUOTA_KINDS, type QuotaKind } from '#quota/limit.ts';
import { startFakeUpstream } from '../fakes/upstream.ts';
import { eventually, madeEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

interface Chunk {
  readonly choices: readonly { readonly finish_reason: string | null }[];
  readonly usage?: { readonly prompt_tokens: number; readonly total_tokens: number } | null;
  readonly stopped_by?: object;
  readonly error?: { readonly code: string };
}
interface Used {
  readonly limits: readonly { readonly kind: string; readonly scope: string; readonly used: number }[];
}
const MESSAGES = [{ role: 'user', content: 'Who are you?' }];
/** A token per byte or nearly, for this model and any other. */
const DENSE = Array.from({ length: 1500 }, (_, n) => String.fromCharCode(33 + ((n * 7919 + (n >> 3) * 31) % 90))).join(
  '',
);

describe('promise 13: no token leaves that is not reserved', () => {
  let test: TestGateway;
  let analyst: Session;
  let upstream: Awaited<ReturnType<typeof startFakeUpstream>>;

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open(async (folder) => ({
      models: {
        endless: await madeEntry(folder, 'endless', { loop: true }, { contextSize: 4096, maxOutputTokens: 4000 }),
        far: upstreamEntry(upstream.url, { maxOutputTokens: 4000 }),
      },
    }));
    analyst = await test.signIn('analyst');
  });
  beforeEach(async () => {
    upstream.set({});
    await test.database.sql('TRUNCATE quota_counter');
    for (const kind of QUOTA_KINDS) await limit(kind, 1_000_000);
  });
  after(async () => {
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const limit = (kind: QuotaKind, amount: number, scope = `user:${analyst.subject}`) =>
    test.database.sql(
      'INSERT INTO quota_limit (scope, kind, amount) VALUES ($1, $2, $3) ON CONFLICT (scope, kind) DO UPDATE SET amount = excluded.amount',
      [scope, kind, amount],
    );
  const used = async (kind: QuotaKind): Promise<number> => {
    const { limits } = (await test.client.get('/v1/usage', analyst.bearer)).json<Used>();
    return limits.find((one) => one.kind === kind && one.scope === `user:${analyst.subject}`)?.used ?? -1;
  };
  const body = (model: string, change: object = {}) => ({ model, messages: MESSAGES, ...change });
  const open = (model: string, change: object = {}) =>
    test.client.open('POST', '/v1/chat/completions', {
      headers: analyst.bearer,
      body: body(model, { stream: true, stream_options: { include_usage: true }, ...change }),
    });
  const post = (model: string, change: object = {}) =>
    test.client.post('/v1/chat/completions', body(model, change), analyst.bearer);
  async function readAll(events: AsyncGenerator<string>): Promise<{ chunks: Chunk[]; done: boolean }> {
    const all: string[] = [];
    for await (const event of events) all.push(event);
    const done = all.at(-1) === '[DONE]';
    return { chunks: (done ? all.slice(0, -1) : all).map((event) => JSON.parse(event) as Chunk), done };
  }

  it('a stream stops at the very token where the quota ends, and says which quota it was', async () => {
    await limit('tokens_day', 1500);
    const answer = await open('endless');
    const { chunks, done } = await readAll(answer.events());
    assert.ok(done);
    const last = chunks.findLast(({ choices }) => choices[0]?.finish_reason);
    assert.deepEqual(
      [last?.choices[0]?.finish_reason, last?.stopped_by],
      ['length', { quota: 'tokens_day', scope: 'user' }],
    );
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 1500);
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    assert.deepEqual(
      [outcome.event['quota_tokens'], outcome.event['quota_limit'], outcome.outcome],
      [1500, 'tokens_day:user', 'completed'],
    );
    assert.equal(await used('tokens_day'), 1500);
    assert.equal((await post('endless')).status, 429);
  });

  it('a whole answer does so too', async () => {
    await limit('tokens_minute', 1200);
    const answer = (await post('endless')).json<Chunk>();
    assert.deepEqual(
      [answer.choices[0]?.finish_reason, answer.stopped_by, answer.usage?.total_tokens],
      ['length', { quota: 'tokens_minute', scope: 'user' }, 1200],
    );
  });

  it('an answer that is as long as it may be is not stopped by a quota', async () => {
    const answer = (await post('endless', { max_tokens: 700 })).json<Chunk>();
    assert.equal(answer.stopped_by, undefined);
    assert.equal((answer.usage?.total_tokens ?? 0) - (answer.usage?.prompt_tokens ?? 0), 700);
    assert.equal(await used('tokens_day'), answer.usage?.total_tokens);
  });

  it('a prompt of more tokens than were estimated is paid for before it is computed, or refused with all given back', async () => {
    const messages = [{ role: 'user', content: DENSE }];
    const paid = await post('endless', { messages, max_tokens: 3 });
    const { prompt_tokens: prompt = 0, total_tokens: total = 0 } = paid.json<Chunk>().usage ?? {};
    const estimate = Math.ceil(JSON.stringify(body('endless', { messages, max_tokens: 3 })).length / 4) + 256;
    assert.ok(prompt > estimate + 512, `${prompt} tokens, ${estimate} estimated`);
    assert.equal(await used('tokens_day'), total);

    await limit('tokens_day', total + prompt);
    const refused = await post('endless', { messages, max_tokens: 3 });
    assert.equal(refused.status, 429, refused.text);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const { error } = refused.json<{ error: Record<string, unknown> }>();
    assert.deepEqual([error['code'], error['quota'], error['scope']], ['rate_limit_exceeded', 'tokens_day', 'user']);
    const outcome = await test.outcome(String(refused.headers['x-request-id']));
    assert.deepEqual([outcome.outcome, outcome.event['quota_tokens']], ['not_run', 0]);
    assert.deepEqual([await used('tokens_day'), await used('requests_day'), await used('concurrent')], [total, 1, 0]);

    await limit('tokens_day', total + prompt + 1);
    const { usage } = (await post('endless', { messages, max_tokens: 3 })).json<Chunk>();
    assert.equal(usage?.total_tokens, prompt + 1, 'one more is enough for one');
  });

  it('another server’s stream is held back at the last token that is surely paid for, and ended there', async () => {
    upstream.set({ loop: true, pieces: ['abcdefgh'] });
    await limit('tokens_day', 1500);
    const answer = await open('far');
    const { chunks, done } = await readAll(answer.events());
    assert.ok(done);
    const last = chunks.findLast(({ choices }) => choices[0]?.finish_reason);
    assert.deepEqual(
      [last?.choices[0]?.finish_reason, last?.stopped_by],
      ['length', { quota: 'tokens_day', scope: 'user' }],
    );
    await eventually(() => upstream.running === 0);
    const total = await used('tokens_day');
    assert.ok(total > 1480 && total <= 1500, `${total}`);
    assert.equal(total, chunks.at(-1)?.usage?.total_tokens);
  });

  it('another server’s whole answer is asked for no longer than is paid for, and settled to what it counted', async () => {
    await limit('tokens_day', 600);
    const answer = await post('far', { max_tokens: 4000 });
    const asked = Number(upstream.seen.at(-1)?.body['max_tokens']);
    assert.ok(asked > 0 && asked < 600, `${asked}`);
    assert.equal(await used('tokens_day'), answer.json<Chunk>().usage?.total_tokens);
  });

  it('the database falls silent under a stream: an error and no [DONE], and what was made is charged when it is back', async () => {
    upstream.set({ loop: true, pieces: ['abcdefgh'], pauseMs: 2 });
    const answer = await open('far');
    const events = answer.events();
    await events.next();
    test.database.freeze();
    let seen: { chunks: Chunk[]; done: boolean };
    try {
      seen = await readAll(events);
    } finally {
      test.database.thaw();
    }
    assert.ok(!seen.done);
    assert.equal(seen.chunks.at(-1)?.error?.code, 'audit_unavailable');
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    const charged = Number(outcome.event['quota_tokens']);
    assert.ok(charged > 0);
    assert.equal(await used('tokens_day'), charged);
    assert.equal(await used('concurrent'), 0);
  });

  it('one at a time: the place is free again when the first hangs up, and hanging up again and again gains nothing', async () => {
    await limit('concurrent', 1);
    let charged = 0;
    for (let round = 1; round <= 6; round++) {
      const first = await open('endless');
      await first.events().next();
      const second = await post('endless', { max_tokens: 1 });
      assert.equal(second.status, 429);
      assert.match(second.text, /1 requests at a time/);
      assert.equal(second.headers['retry-after'], '1');
      first.hangUp();
      const outcome = await test.outcome(String(first.headers['x-request-id']));
      charged += Number(outcome.event['quota_tokens']);
      assert.deepEqual(
        [await used('concurrent'), await used('requests_day'), await used('tokens_day')],
        [0, round, charged],
      );
    }
    assert.ok(charged >= 6, 'each of them paid for its prompt');
  });

  it('the model server fails before the first token: the request, its tokens and its place are given back', async () => {
    upstream.set({ failure: { status: 500, body: '{}' } });
    await post('far');
    assert.deepEqual([await used('concurrent'), await used('requests_day'), await used('tokens_day')], [0, 0, 0]);
  });

  it('a limit in dry run lets it pass, on the record and as a metric', async () => {
    await test.database.sql(
      "INSERT INTO quota_limit (scope, kind, amount, dry_run) VALUES ('model:endless', 'requests_day', 0, true)",
    );
    const answer = await post('endless', { max_tokens: 1 });
    await test.database.sql("DELETE FROM quota_limit WHERE scope = 'model:endless'");
    assert.equal(answer.status, 200);
    const outcome = await test.outcome(String(answer.headers['x-request-id']));
    assert.deepEqual(outcome.event['quota_dry_run'], ['requests_day:model']);
    const metrics = await (await fetch(`http://${test.gateway.metricsAddress}/metrics`)).text();
    assert.match(metrics, /strongroom_quota_limits_total\{kind="requests_day",scope="model",effect="dry_run"\} 1/);
  });

  it('tells every window and scope of the caller, and the strictest in the headers', async () => {
    await limit('requests_minute', 20, 'model:endless');
    const { headers } = await post('endless', { max_tokens: 1 });
    assert.deepEqual([headers['x-ratelimit-limit-requests'], headers['x-ratelimit-remaining-requests']], ['20', '19']);
    assert.ok(Number.parseInt(String(headers['x-ratelimit-reset-requests']), 10) <= 60);
    assert.equal(headers['x-ratelimit-limit-tokens'], '1000000');
    const usage = (await test.client.get('/v1/usage', analyst.bearer)).json<Used>();
    await test.database.sql("DELETE FROM quota_limit WHERE scope = 'model:endless'");
    assert.deepEqual(
      usage.limits.map(({ scope, kind }) => `${scope.replace(analyst.subject, 'ME')} ${kind}`),
      [...QUOTA_KINDS.map((kind) => `user:ME ${kind}`), 'model:endless requests_minute'],
    );
  });
});
