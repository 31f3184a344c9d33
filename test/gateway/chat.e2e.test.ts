import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import OpenAI, { type APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { collect, DEMO_TEXT } from '../engine/demo.ts';
import { demoEntry, type Session, TestGateway } from '../harness/gateway.ts';

const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'What are you? 你好' }] };

describe('chat completions over TLS, as OpenAI’s own client uses them', () => {
  let test: TestGateway;
  let analyst: Session;
  let openai: OpenAI;
  const authorities = tls.getCACertificates('default');

  before(async () => {
    test = await TestGateway.open(async () => ({ models: { demo: await demoEntry() } }));
    analyst = await test.signIn('analyst');
    tls.setDefaultCACertificates([...authorities, await readFile(join(test.dataDir, 'tls', 'ca.pem'), 'utf8')]);
    openai = clientWith(analyst.token);
  });
  after(async () => {
    tls.setDefaultCACertificates(authorities);
    await test[Symbol.asyncDispose]();
  });

  const clientWith = (apiKey: string) => new OpenAI({ baseURL: `${test.url}/v1`, apiKey, maxRetries: 0 });

  it('answers whole, with usage, and the same text every time', async () => {
    const { data, response } = await openai.chat.completions.create(ASK).withResponse();
    assert.equal(data.object, 'chat.completion');
    assert.equal(data.choices[0]?.message.content, DEMO_TEXT);
    assert.equal(data.choices[0]?.finish_reason, 'stop');
    assert.ok(data.usage && data.usage.prompt_tokens > 0);
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.equal(data.id, `chatcmpl-${response.headers.get('x-request-id')}`);
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '300', 'of a minute');
    assert.match(response.headers.get('x-ratelimit-reset-requests') ?? '', /^\d+s$/);
  });

  it('streams the same text, a role first, the usage last where it was asked for', async () => {
    const stream = await openai.chat.completions.create({
      ...ASK,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(chunks[0]?.choices[0]?.delta.role, 'assistant');
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), DEMO_TEXT);
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, 'stop');
    assert.deepEqual(chunks.at(-1)?.choices, []);
    const usage = chunks.at(-1)?.usage;
    const [, outcome] = await test.records(chunks[0]?.id.replace('chatcmpl-', '') ?? '');
    assert.equal(outcome?.event['completion_tokens'], usage?.completion_tokens);
    assert.equal(outcome?.event['prompt_tokens'], usage?.prompt_tokens);
  });

  it('records the whole decision: rule, policy, quota, digests, sampler, seed, build, counts, timings', async () => {
    const { response } = await openai.chat.completions.create({ ...ASK, temperature: 0.25 }).withResponse();
    const [intent, outcome] = await test.records(response.headers.get('x-request-id') ?? '');
    const asked = intent?.event ?? {};
    assert.deepEqual([asked['rule'], asked['policy_version']], ['analyst-infer', 1]);
    assert.equal((asked['quota'] as Record<string, number>)['requests'], 1);
    const said = outcome?.event ?? {};
    const demo = await demoEntry();
    assert.equal(said['weights_sha256'], demo.sha256);
    assert.match(String(said['template_sha256']), /^[0-9a-f]{64}$/);
    assert.match(String(said['engine_build']), /^llama\.cpp \S+ cpu$/);
    // What was not said is the model's own, held within the bounds of policy.
    assert.deepEqual([said['temperature'], said['top_p'], said['max_tokens']], ['0.25', '0.95', 1024]);
    assert.ok(Number.isSafeInteger(said['seed']), 'the seed that was drawn, so that the answer can be made again');
    for (const timing of ['queue_ms', 'prefill_ms', 'first_token_ms', 'duration_ms'])
      assert.ok(Number(said[timing]) >= 0, timing);
    const again = await openai.chat.completions
      .create({ ...ASK, temperature: 0.25, seed: 4_294_967_295 })
      .withResponse();
    const [, second] = await test.records(again.response.headers.get('x-request-id') ?? '');
    assert.equal(second?.event['seed'], 4_294_967_295);
  });

  it('ends a stream with [DONE] only', async () => {
    const open = await test.client.open('POST', '/v1/chat/completions', {
      headers: analyst.bearer,
      body: { ...ASK, stream: true, max_tokens: 3 },
    });
    assert.equal(open.headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.equal(open.headers['cache-control'], 'no-store');
    const events = await collect(open.events());
    assert.equal(events.at(-1), '[DONE]');
    const before = JSON.parse(events.at(-2) ?? '{}') as { choices: { finish_reason: string }[] };
    assert.equal(before.choices[0]?.finish_reason, 'length');
  });

  it('obeys max_tokens under both names, stop, and developer messages and text parts', async () => {
    const short = await openai.chat.completions.create({ ...ASK, max_tokens: 100, max_completion_tokens: 2 });
    assert.equal(short.usage?.completion_tokens, 2);
    assert.equal(short.choices[0]?.finish_reason, 'length');
    const stopped = await openai.chat.completions.create({ ...ASK, stop: ' from' });
    assert.equal(stopped.choices[0]?.message.content, 'This answer comes');
    const parts = await openai.chat.completions.create({
      model: 'demo',
      max_tokens: 1,
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'What?' }] },
      ],
    });
    assert.equal(parts.choices[0]?.message.content, 'This');
  });

  it('lists the models that policy gives to the caller', async () => {
    const { data } = await openai.models.list();
    assert.deepEqual(
      data.map(({ id }) => id),
      ['demo'],
    );
    assert.equal((await openai.models.retrieve('demo')).id, 'demo');
    await assert.rejects(openai.models.retrieve('other'), (error) => error instanceof NotFoundError);
  });

  it('maps to the client’s own error classes', async () => {
    const rejects = async (work: Promise<unknown>, sort: new (...args: never[]) => APIError, code: string) => {
      await assert.rejects(work, (error) => {
        assert.ok(error instanceof sort, String(error));
        assert.equal(error.code, code);
        return true;
      });
    };
    await rejects(clientWith('srs_nobody').models.list(), AuthenticationError, 'unauthenticated');
    await rejects(clientWith('sk-of-somebody-else').models.list(), AuthenticationError, 'unauthenticated');
    const hot = openai.chat.completions.create({ ...ASK, temperature: 3 });
    await rejects(hot, BadRequestError, 'invalid_parameter');
    const other = openai.chat.completions.create({ ...ASK, model: 'gpt-4o' });
    await rejects(other, NotFoundError, 'model_not_found');
    await test.database.sql("INSERT INTO quota_limit VALUES ($1, 'requests_day', 0)", [`user:${analyst.subject}`]);
    await rejects(openai.chat.completions.create(ASK), RateLimitError, 'rate_limit_exceeded');
    await test.database.sql('DELETE FROM quota_limit WHERE scope = $1', [`user:${analyst.subject}`]);
  });

  it('takes the cookie, the bearer token and x-api-key, and never two at once for one', async () => {
    const get = (headers: Record<string, string>) => test.client.get('/v1/models', headers);
    assert.equal((await get({ ...analyst.cookie })).status, 200);
    assert.equal((await get({ ...analyst.bearer })).status, 200);
    assert.equal((await get({ 'x-api-key': analyst.token })).status, 200);
    assert.equal((await get({ authorization: `bearer ${analyst.token}` })).status, 200);
    // A header that is there but useless is not passed over in favour of the cookie.
    assert.equal((await get({ ...analyst.cookie, authorization: 'Bearer nonsense' })).status, 401);
    assert.equal((await get({ ...analyst.cookie, authorization: 'Basic YTpi' })).status, 401);
    assert.equal((await get({ ...analyst.cookie, 'x-api-key': 'nonsense' })).status, 401);
  });

  it('puts intent and outcome on the record, with commitments and no text', async () => {
    const answer = await test.client.post('/v1/chat/completions', ASK, analyst.bearer);
    const records = await test.records(String(answer.headers['x-request-id']));
    assert.deepEqual(
      records.map(({ kind, outcome, resource }) => [kind, outcome, resource]),
      [
        ['intent', 'admitted', 'model:demo'],
        ['outcome', 'completed', 'model:demo'],
      ],
    );
    assert.match(String(records[1]?.event['prompt_commitment']), /^[0-9a-f]{64}$/);
    assert.match(String(records[1]?.event['answer_commitment']), /^[0-9a-f]{64}$/);
    assert.equal(records[1]?.event['finish_reason'], 'stop');
  });
});
