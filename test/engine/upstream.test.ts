import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Engine } from '#engine/engine.ts';
import type { UpstreamModelSpec } from '#engine/model-spec.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import type { UpstreamDeps } from '#engine/upstream/service.upstream.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { PAID } from '../fakes/credit.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { answer, collect, NEVER, request, told, until, untilFirstDelta } from './demo.ts';

const TEXT = 'The upstream says 你好, 🙂 and stops.';

describe('a model on another server', () => {
  let fake: FakeUpstream;
  let engine: Engine;
  const open = (change: Partial<UpstreamModelSpec> = {}, deps: Partial<UpstreamDeps> = {}) =>
    openUpstreamModel(
      { id: 'up', urls: [fake.url], model: 'big', maxOutputTokens: 100, ...change },
      { log: silentLog, clock: systemClock, ...deps },
    );
  before(async () => {
    fake = await startFakeUpstream();
    engine = open({ apiKey: { current: 'k-secret', reload: async () => false } });
    await engine.load();
  });
  after(async () => {
    await engine.close();
    await fake.close();
  });

  const fails =
    (code: Problem['code'], secret = 'upstream-secret') =>
    (error: unknown) => {
      assert.ok(error instanceof Problem, String(error));
      assert.equal(error.code, code);
      assert.ok(!JSON.stringify(error.detail).includes(secret) && !error.message.includes(secret));
      return true;
    };

  it('reads the stream however it is cut, with any line ending', async () => {
    for (const newline of ['\n', '\r\n', '\r'] as const) {
      for (const cut of [1, 2, 7, 64]) {
        fake.set({ newline, cut });
        assert.equal((await answer(engine)).text, TEXT);
      }
    }
    fake.set({});
  });

  it('sends what the request says, the key in its header, and nothing about the user', async () => {
    await answer(engine, { temperature: 0.5, topP: 0.9, seed: 3, stop: ['x'], subject: 'usr_private', maxTokens: 50 });
    const { headers, body } = fake.seen.at(-1) ?? assert.fail();
    assert.equal(headers.authorization, 'Bearer k-secret');
    assert.deepEqual(body, {
      model: 'big',
      messages: [{ role: 'user', content: 'What are you? 你好' }],
      max_tokens: 50,
      temperature: 0.5,
      top_p: 0.9,
      seed: 3,
      stop: ['x'],
      stream: true,
      stream_options: { include_usage: true },
    });
    assert.ok(!JSON.stringify(headers).includes('usr_private'));
  });

  it('sends a prompt to the route for prompts', async () => {
    await answer(engine, { messages: [], prompt: 'Once upon', maxTokens: 50 });
    const { body } = fake.seen.at(-1) ?? assert.fail();
    assert.deepEqual([body['prompt'], body['messages'], body['max_tokens']], ['Once upon', undefined, 50]);
  });

  it('takes the usage from the server, or estimates it', async () => {
    assert.deepEqual((await answer(engine)).usage, { promptTokens: 5, completionTokens: 8, cachedTokens: 0 });
    fake.set({ usage: false });
    const { usage, events } = await answer(engine);
    assert.ok(usage.completionTokens >= 8 && usage.promptTokens >= 5);
    const counted = events.reduce((sum, event) => sum + (event.type === 'delta' ? event.tokens : 0), 0);
    assert.equal(counted, usage.completionTokens);
    assert.equal((await answer(engine, { stream: false })).text, TEXT);
    fake.set({});
  });

  it('keeps its connections', async () => {
    await answer(engine);
    const before = fake.connections;
    for (let i = 0; i < 5; i++) await answer(engine, { stream: i % 2 === 0 });
    assert.equal(fake.connections, before);
  });

  it('an abort ends the generation on the server too', async () => {
    fake.set({ loop: true });
    const control = new AbortController();
    const generation = told(engine, request({ maxTokens: 1e6 }), control.signal);
    await untilFirstDelta(generation);
    assert.equal(fake.running, 1);
    control.abort(new Error('hung up'));
    await assert.rejects(collect(generation), /hung up/);
    await until(() => fake.running === 0);
    const whole = new AbortController();
    const waiting = answer(engine, { stream: false }, whole.signal);
    await until(() => fake.running === 1);
    whole.abort(new Error('hung up'));
    await assert.rejects(waiting, /hung up/);
    await until(() => fake.running === 0);
    fake.set({});
  });

  it('does not read ahead of its caller', async () => {
    fake.set({ loop: true, pieces: ['x'.repeat(10_000)] });
    const generation = told(engine, request({ maxTokens: 1e6 }), NEVER);
    await untilFirstDelta(generation);
    // The server writes until the buffers are full; it does not come to an end of memory or of time here.
    await generation.return();
    await until(() => fake.running === 0);
    fake.set({});
  });

  for (const [status, code] of [
    [400, 'invalid_parameter'],
    [401, 'engine_failed'],
    [404, 'engine_failed'],
    [429, 'overloaded'],
    [500, 'engine_failed'],
    [503, 'overloaded'],
  ] as const) {
    it(`turns status ${status} into ${code} without the server's words, before started`, async () => {
      // One of its own: a server that asks for a pause is left alone, and so is one that fails again and again.
      const asked = open();
      await asked.load();
      fake.set({ failure: { status, body: '{"error":{"message":"upstream-secret"}}' } });
      await assert.rejects(told(asked, request(), NEVER).next(), fails(code));
      fake.set({});
      await asked.close();
    });
  }

  it('passes on when to try again, and asks nothing before that', async () => {
    let now = 0;
    const clock = { now: () => 1_800_000_000_000 + 1000 * Math.floor(now / 1000), monotonic: () => now };
    const asked = open({}, { clock });
    await asked.load();
    const in7 = (error: unknown) => fails('overloaded')(error) && (error as Problem).detail.retryAfter === 7;
    for (const form of ['seconds', 'date']) {
      const after = form === 'date' ? new Date(clock.now() + 7000).toUTCString() : '7';
      fake.set({ failure: { status: 429, body: '', headers: { 'retry-after': after } } });
      await assert.rejects(answer(asked), in7);
      fake.set({});
      const before = fake.seen.length;
      now += 6000;
      await assert.rejects(answer(asked), (error: unknown) => (error as Problem).detail.retryAfter === 1);
      assert.equal(fake.seen.length, before);
      now += 1000;
      assert.equal((await answer(asked)).text, TEXT);
    }
    await asked.close();
  });

  it('fails when the stream breaks off, is malformed or reports an error', async () => {
    for (const stream of [true, false]) {
      fake.set({ failure: { status: 200, body: 'upstream-secret' } });
      await assert.rejects(answer(engine, { stream }), fails('engine_failed'));
    }
    fake.set({ failure: { status: 200, body: 'data: {"error":{"message":"upstream-secret"}}\n\n' } });
    await assert.rejects(answer(engine), fails('engine_failed'));
    fake.set({ breakAfter: 3 });
    await assert.rejects(answer(engine), fails('engine_failed'));
    fake.set({});
  });

  it('fails when the server falls silent or can not be reached', async () => {
    fake.set({ silentAfter: 2 });
    const impatient = open({}, { limits: { nextByteMs: 100 } });
    await impatient.load();
    await assert.rejects(answer(impatient), fails('engine_failed'));
    await impatient.close();
    fake.set({});
    const nobody = open({ urls: ['http://127.0.0.1:1'] });
    await nobody.load();
    assert.equal(nobody.status().state, 'failed');
    await assert.rejects(
      answer(nobody),
      (error: unknown) => fails('engine_failed')(error) && (error as Problem).detail.retryAfter === 10,
    );
    await nobody.close();
  });

  it('passes a schema on, or refuses it where the server would ignore it', async () => {
    const responseFormat = { type: 'json_schema', name: 'x', schema: { type: 'string' } } as const;
    for (const stream of [true, false]) {
      fake.set({ pieces: ['"a', ' text"'] });
      assert.equal((await answer(engine, { responseFormat, stream })).text, '"a text"');
      fake.set({ pieces: ['a text'] });
      await assert.rejects(
        answer(engine, { responseFormat, stream }),
        fails('engine_failed'),
        'the server did not keep to it',
      );
      const slow = { ...responseFormat, schema: { pattern: '^(a+)+$' } };
      fake.set({ pieces: [`"${'a'.repeat(60)}!"`] });
      await assert.rejects(answer(engine, { responseFormat: slow, stream }), fails('engine_failed'));
    }
    fake.set({});
    assert.deepEqual(fake.seen.at(-1)?.body['response_format'], {
      type: 'json_schema',
      json_schema: { name: 'x', schema: { pattern: '^(a+)+$' }, strict: true },
    });
    const plain = open({ structuredOutput: false });
    await plain.load();
    await assert.rejects(answer(plain, { responseFormat }), fails('invalid_parameter'));
    await plain.close();
  });

  it('turns texts into vectors in one question, in the order of the texts, whatever order they come in', async () => {
    const embedding = open({ embedding: true });
    await embedding.load();
    const ask = (inputs: readonly string[], signal = NEVER) =>
      embedding.embed({ requestId: 'req_test', model: 'm', inputs, subject: 'usr_a', credit: PAID }, signal);
    const events = await collect(ask(['a', 'bcd', 'e']));
    assert.deepEqual(fake.seen.at(-1)?.body, { model: 'big', input: ['a', 'bcd', 'e'], encoding_format: 'float' });
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'vector' ? [[...event.values]] : [])),
      [
        [3, 0, 4],
        [9, 1, 4],
        [3, 2, 4],
      ],
    );
    const last = events.at(-1);
    assert.ok(last?.type === 'finished' && last.usage.promptTokens === 3);
    for (const body of [
      '{"data":[]}',
      '{"data":[{"index":0,"embedding":[]}]}',
      '{"data":[{"index":1,"embedding":[1]}]}',
      '{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}',
      '{"data":[{"index":0,"embedding":["x"]}]}',
      'upstream-secret',
    ]) {
      fake.set({ failure: { status: 200, body } });
      await assert.rejects(collect(ask(['a'])), fails('engine_failed'), body);
    }
    fake.set({ contextSize: 10 });
    await assert.rejects(collect(ask(['a', 'b'.repeat(400)])), fails('context_length_exceeded'));
    fake.set({ loop: true });
    const control = new AbortController();
    const waiting = collect(ask(['a'], control.signal));
    await until(() => fake.running === 1);
    control.abort(new Error('hung up'));
    await assert.rejects(waiting, /hung up/);
    await until(() => fake.running === 0);
    fake.set({});
    await assert.rejects(answer(embedding), fails('invalid_parameter'));
    await assert.rejects(
      collect(engine.embed({ requestId: 'r', model: 'm', inputs: ['a'], subject: 'u', credit: PAID }, NEVER)),
      fails('invalid_parameter'),
    );
    await embedding.close();
  });

  it('keeps users apart on servers that can', async () => {
    const salted = open({ cacheSalt: true });
    await salted.load();
    await answer(salted, { subject: 'usr_a' });
    await answer(salted, { subject: 'usr_b' });
    const [a, b] = fake.seen.slice(-2).map(({ body }) => body['cache_salt']);
    assert.ok(typeof a === 'string' && typeof b === 'string' && a !== b && !a.includes('usr_'));
    await salted.close();
  });
});
