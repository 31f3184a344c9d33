import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EmbeddingEvent, EmbeddingRequest } from '#engine/engine.ts';
import { forgetfulMemory } from '#engine/llama/file-memory.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { Problem } from '#kernel/problem.ts';
import { PAID } from '../fakes/credit.ts';
import { answer, collect, madeSpec, NEVER, openLlama, until } from './demo.ts';

const ask = (inputs: readonly string[], change: Partial<EmbeddingRequest> = {}): EmbeddingRequest => ({
  requestId: 'req_test',
  model: 'vectors',
  inputs,
  subject: 'usr_a',
  credit: PAID,
  ...change,
});

const failure =
  (code: Problem['code'], message = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof Problem, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };

const vectorsOf = (events: readonly EmbeddingEvent[]) =>
  events.flatMap((event) => (event.type === 'vector' ? [event.values] : []));
const length = (values: Float32Array) => Math.hypot(...values);
const cosine = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0) / (length(a) * length(b));

describe('a model that turns texts into vectors, on the real engine', () => {
  let engine: LlamaEngine;
  let remove: () => Promise<void>;
  before(async () => {
    const made = await madeSpec(
      { pooling: 'mean' },
      { embedding: true, chatTemplate: null, contextSize: 1024, maxOutputTokens: 1, parallel: 4 },
    );
    remove = made.remove;
    engine = openLlama(made.spec);
    await engine.load();
  });
  after(async () => {
    await engine.close();
    await remove();
  });

  const embed = (inputs: readonly string[], change: Partial<EmbeddingRequest> = {}, signal = NEVER) =>
    collect(engine.embed(ask(inputs, change), signal));

  it('gives one vector a text in the order of the texts, after their exact count', async () => {
    const events = await embed(['7', '77', '777']);
    assert.deepEqual(
      events.map((event) => event.type),
      ['started', 'vector', 'vector', 'vector', 'finished'],
    );
    const [started] = events;
    assert.ok(started?.type === 'started');
    // A digit is a token of its own, and nothing is put around a text.
    assert.deepEqual([started.promptTokens, started.longest], [6, 3]);
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'vector' ? [event.index] : [])),
      [0, 1, 2],
    );
    assert.equal(vectorsOf(events)[0]?.length, 256);
  });

  it('means the whole text: the mean over its tokens, whatever was asked before', async () => {
    // `{` and `"` have rows of their own in this model; digits share one.
    const [brace = assert.fail(), digit = assert.fail(), both = assert.fail(), again = assert.fail()] = vectorsOf(
      await embed(['{', '7', '{7', '{']),
    );
    assert.ok(Math.abs(cosine(brace, digit)) < 0.01);
    assert.ok(Math.abs(cosine(both, brace) - Math.SQRT1_2) < 0.01, String(cosine(both, brace)));
    assert.deepEqual(again, brace);
    const long = vectorsOf(await embed([`${'{'.repeat(450)}${'7'.repeat(450)}`]))[0] ?? assert.fail();
    // Over several batches it would be the mean of the last one alone.
    assert.ok(Math.abs(cosine(long, brace) - Math.SQRT1_2) < 0.01, String(cosine(long, brace)));
  });

  it('refuses a text that is too long with both figures, and computes none of the others', async () => {
    assert.equal((await embed(['7'.repeat(1023)])).length, 3);
    const seen: EmbeddingEvent[] = [];
    await assert.rejects(
      async () => {
        for await (const event of engine.embed(ask(['7', '7'.repeat(1024)]), NEVER)) seen.push(event);
      },
      failure('context_length_exceeded', /Input 1 has 1024 tokens; this model takes 1023/),
    );
    assert.deepEqual(seen, []);
    await assert.rejects(embed(['x'.repeat(5_000_000)]), failure('context_length_exceeded', /Input 0 .*takes 1024/));
    await until(() => engine.status().busy === 0);
  });

  it('does not answer, and a model that answers makes no vectors', async () => {
    await assert.rejects(answer(engine), failure('invalid_parameter', /\/v1\/embeddings/));
    const demo = await madeSpec({});
    const talker = openLlama(demo.spec);
    try {
      await talker.load();
      await assert.rejects(collect(talker.embed(ask(['x']), NEVER)), failure('invalid_parameter', /embedding: true/));
      assert.deepEqual([talker.status().makes, engine.status().makes], ['text', 'vectors']);
    } finally {
      await talker.close();
      await demo.remove();
    }
  });

  it('lets a short list in between the texts of a long one', async () => {
    const order: string[] = [];
    const many = Array.from({ length: 200 }, () => '7'.repeat(120));
    const long = embed(many, { subject: 'usr_a' }).then(() => order.push('long'));
    const short = embed(['7', '7'], { subject: 'usr_b' }).then(() => order.push('short'));
    await Promise.all([long, short]);
    assert.deepEqual(order, ['short', 'long']);
  });

  it('a user who fills all his places holds up nobody else', async () => {
    const order: string[] = [];
    const many = Array.from({ length: 60 }, () => '7'.repeat(120));
    const long = Array.from({ length: 6 }, () => embed(many, { subject: 'usr_a' }).then(() => order.push('long')));
    await until(() => engine.status().busy === 4 && engine.status().queued === 2);
    const short = embed(['7', '7'], { subject: 'usr_b' }).then(() => order.push('short'));
    await Promise.all([...long, short]);
    assert.equal(order.indexOf('short'), 0);
  });

  it('leaves the rest of a list when its reader goes', async () => {
    const control = new AbortController();
    const generation = engine.embed(ask(Array.from({ length: 250 }, () => '7'.repeat(120))), control.signal);
    for (let taken = 0; taken < 3; taken++) await generation.next();
    const began = performance.now();
    control.abort(new Error('hung up'));
    await assert.rejects(collect(generation), /hung up/);
    await until(() => engine.status().busy === 0);
    assert.ok(performance.now() - began < 1000);
  });

  it('computes nothing before it is paid for', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watchers = new Set<() => void>();
    const credit = {
      ...PAID,
      total: 1,
      begin: (tokens: number) => promise.then(() => void Object.assign(credit, { total: tokens })),
      watch: (changed: () => void) => {
        watchers.add(changed);
        return () => watchers.delete(changed);
      },
    };
    const generation = engine.embed(ask(['777'], { credit }), NEVER);
    const first = generation.next();
    await embed(['7'], { subject: 'usr_b' });
    assert.equal(engine.status().busy, 1, 'the others go on, and it waits');
    resolve();
    assert.equal((await first).value?.type, 'started');
    for (const changed of watchers) changed();
    assert.equal((await collect(generation)).at(-1)?.type, 'finished');
  });

  it('stands the trial of a file that is new', async () => {
    const made = await madeSpec({ pooling: 'mean' }, { embedding: true, chatTemplate: null, contextSize: 256 });
    const tried = openLlama(made.spec, { files: forgetfulMemory() });
    try {
      await tried.load();
      assert.equal(tried.status().state, 'ready');
    } finally {
      await tried.close();
      await made.remove();
    }
  });
});
