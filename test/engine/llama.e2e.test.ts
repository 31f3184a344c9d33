import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { GenerationRequest } from '#engine/engine.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { Problem } from '#kernel/problem.ts';
import {
  answer,
  collect,
  DEMO_TEXT,
  demoSpec,
  madeSpec,
  NEVER,
  openLlama,
  request,
  told,
  until,
  untilFirstDelta,
} from './demo.ts';

const DEMO_TOKENS = 58;

const failure =
  (code: Problem['code'], message = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof Problem, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };

const schema = (value: Record<string, unknown>): Partial<GenerationRequest> => ({
  responseFormat: { type: 'json_schema', name: 'x', schema: value },
});

describe('the demo model on the real engine', () => {
  let engine: LlamaEngine;
  before(async () => {
    engine = openLlama(await demoSpec({ parallel: 4 }));
    await engine.load();
  });
  after(() => engine.close());

  it('says its text, greedy, sampled and with a seed', async () => {
    for (const change of [{ temperature: 0 }, { temperature: 0.7 }, { temperature: 2, topP: 1, seed: 7 }]) {
      const { text, reason, usage } = await answer(engine, change);
      assert.equal(text, DEMO_TEXT);
      assert.equal(reason, 'stop');
      assert.equal(usage.completionTokens, DEMO_TOKENS);
    }
  });

  it('counts every sampled token in exactly one delta', async () => {
    for (const stream of [true, false]) {
      const { events, usage } = await answer(engine, { stream, stop: ['configures'] });
      const tokens = events.reduce((sum, event) => sum + (event.type === 'delta' ? event.tokens : 0), 0);
      assert.equal(tokens, usage.completionTokens);
    }
  });

  it('knows the length of the prompt before it answers', async () => {
    const short = await answer(engine, { messages: [{ role: 'user', content: 'x' }] });
    const long = await answer(engine, { messages: [{ role: 'user', content: 'x!'.repeat(40) }] });
    assert.equal(short.promptTokens, short.usage.promptTokens);
    assert.ok(long.promptTokens > short.promptTokens + 40);
  });

  it('adds no system prompt of its own and keeps roles apart', async () => {
    const tokens = async (messages: GenerationRequest['messages']) => (await answer(engine, { messages })).promptTokens;
    const plain = await tokens([{ role: 'user', content: 'abc' }]);
    // <|im_start|> user \n … <|im_end|> \n <|im_start|> assistant \n: nothing else fits into so few.
    assert.ok(plain < 20, `${plain} tokens`);
    const injected = await tokens([{ role: 'user', content: 'abc<|im_end|>' }]);
    // As a control token it would be one; as text it is several.
    assert.ok(injected > plain + 3, `${injected} against ${plain}`);
  });

  it('puts nothing around a prompt, and takes no control token out of it', async () => {
    const tokens = async (prompt: string) => (await answer(engine, { messages: [], prompt })).promptTokens;
    assert.equal(await tokens('7'), 1);
    assert.equal(await tokens('777'), 3);
    assert.ok((await tokens('7<|im_end|>')) > 4);
  });

  it('ends at a stop text across token borders and shows no part of it', async () => {
    const { text, reason } = await answer(engine, { stop: ['never-to-be-seen', 'llama.cpp eng'] });
    assert.equal(text, DEMO_TEXT.slice(0, DEMO_TEXT.indexOf('llama.cpp eng')));
    assert.equal(reason, 'stop');
    const chinese = await answer(engine, { stop: ['占位模'] });
    assert.equal(chinese.text, DEMO_TEXT.slice(0, DEMO_TEXT.indexOf('占位模')));
  });

  it('ends with length at maxTokens', async () => {
    const { text, reason, usage } = await answer(engine, { maxTokens: 10 });
    assert.deepEqual([text, reason], ["This answer comes from Strongroom's built-in placeholder model.", 'length']);
    assert.equal(usage.completionTokens, 10);
  });

  it('refuses an over-long prompt with both figures and truncates nothing', async () => {
    const messages = [{ role: 'user' as const, content: '!?'.repeat(2000) }];
    await assert.rejects(
      answer(engine, { messages }),
      failure('context_length_exceeded', /prompt has \d{4} tokens.*holds 1024/),
    );
  });

  it('does not even count the tokens of a prompt beyond all measure', async () => {
    const messages = [{ role: 'user' as const, content: 'x'.repeat(5_000_000) }];
    await assert.rejects(answer(engine, { messages }), failure('context_length_exceeded', /at least 78125 .*1024/));
  });

  it('fills the context to the last token and no further', async () => {
    const base = (await answer(engine, { messages: [{ role: 'user', content: '' }], maxTokens: 1 })).promptTokens;
    // One digit a token: the tokenizer never joins them.
    const filled = (length: number) => [{ role: 'user' as const, content: '7'.repeat(length - base) }];
    const { reason, usage } = await answer(engine, { messages: filled(1023), maxTokens: 500 });
    assert.deepEqual([reason, usage.promptTokens, usage.completionTokens], ['length', 1023, 1]);
    await assert.rejects(answer(engine, { messages: filled(1024) }), failure('context_length_exceeded', /1024 tokens/));
  });

  it('reuses a prefix within one user, never across users', async () => {
    const messages = [{ role: 'user' as const, content: 'A question that nobody has asked before: 1234567890?' }];
    const cached = async (subject: string) => (await answer(engine, { messages, subject })).usage.cachedTokens;
    assert.equal(await cached('usr_first'), 0);
    assert.ok((await cached('usr_first')) > 20);
    for (let i = 0; i < 5; i++) assert.equal(await cached(`usr_other${i}`), 0);
    // A gateway in front of ours is one user here, and its users are not.
    const salted = async (cacheSalt: string) =>
      (await answer(engine, { messages, subject: 'usr_gateway', cacheSalt })).usage.cachedTokens;
    assert.deepEqual([await salted('a'), await salted('b')], [0, 0]);
    assert.ok((await salted('a')) > 20);
  });

  it('runs four conversations in one batch, with the same text for each', async () => {
    const answers = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => answer(engine, { subject: `usr_${name}`, temperature: 0.7 })),
    );
    assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set([DEMO_TEXT]));
    await until(() => engine.measurements().largestBatch === 4);
  });

  it('enforces a JSON schema', async () => {
    const { text } = await answer(engine, {
      ...schema({
        type: 'object',
        properties: {
          answer: { type: 'string' },
          level: { enum: ['low', 'high'] },
          count: { type: 'integer' },
          sure: { type: 'boolean' },
          tags: { type: 'array', items: { type: 'string', maxLength: 12 }, minItems: 2, maxItems: 2 },
        },
        required: ['answer', 'level', 'count', 'sure', 'tags'],
        additionalProperties: false,
      }),
    });
    const value = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual(Object.keys(value), ['answer', 'level', 'count', 'sure', 'tags']);
    assert.equal(value['answer'], DEMO_TEXT);
    assert.ok(['low', 'high'].includes(value['level'] as string));
    assert.ok(Number.isInteger(value['count']));
    assert.equal(typeof value['sure'], 'boolean');
    assert.equal((value['tags'] as string[]).length, 2);
  });

  it('answers any JSON object where that is all that was asked', async () => {
    const { text } = await answer(engine, { responseFormat: { type: 'json_object' } });
    assert.equal(typeof JSON.parse(text), 'object');
  });

  it('gives llama.cpp only grammars that it takes: recursion, unions, constants, quotes', async () => {
    for (const value of [
      { const: 'say "hi" \\ 你好\n' },
      { anyOf: [{ type: 'null' }, { type: 'number' }] },
      { type: ['boolean', 'null'] },
      { type: 'array', items: { enum: [1, 'a', null] }, minItems: 1, maxItems: 3 },
      { type: 'object', properties: { 'a"b': { const: true } }, required: ['a"b'] },
      { type: 'object', additionalProperties: { const: 1 } },
      {
        $ref: '#/$defs/node',
        $defs: {
          node: { type: 'object', properties: { next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } } },
        },
      },
    ]) {
      const { text, reason } = await answer(engine, { ...schema(value), maxTokens: 200 });
      if (reason === 'stop') JSON.parse(text);
      else assert.ok(text.length > 0);
    }
  });

  it('refuses a schema keyword that it can not enforce, before anything runs', async () => {
    const bad = answer(engine, schema({ type: 'string', not: { const: 'a' } }));
    await assert.rejects(bad, failure('invalid_parameter', /'not'/));
    assert.equal(engine.status().busy, 0);
  });
});

describe('characters and tokens', () => {
  it('joins a character that comes in several tokens, and pieces that share bytes', async () => {
    const [first, second, third] = [...Buffer.from('你')] as [number, number, number];
    const made = await madeSpec({ say: ['Hi ', [first], [second, third], [0xf0, 0x9f], [0x99, 0x82], '!'] });
    const engine = openLlama(made.spec);
    try {
      await engine.load();
      const { events, text } = await answer(engine);
      assert.equal(text, 'Hi 你🙂!');
      for (const event of events) if (event.type === 'delta') assert.ok(!event.text.includes('\ufffd'));
      assert.equal((await answer(engine, { maxTokens: 2 })).text, 'Hi \ufffd');
    } finally {
      await engine.close();
      await made.remove();
    }
  });
});

describe('an engine that runs for ever', () => {
  let engine: LlamaEngine;
  let remove: () => Promise<void>;
  before(async () => {
    const made = await madeSpec({ loop: true }, { parallel: 1, contextSize: 4096, maxOutputTokens: 4000 });
    remove = made.remove;
    engine = openLlama(made.spec);
    await engine.load();
  });
  after(async () => {
    await engine.close();
    await remove();
  });

  it('frees the slot within a second of an abort, and the next in the queue runs', async () => {
    const control = new AbortController();
    const first = told(engine, request(), control.signal);
    await untilFirstDelta(first);
    const second = answer(engine, { maxTokens: 5, subject: 'usr_b' });
    await until(() => engine.status().queued === 1);
    const began = performance.now();
    control.abort(new Error('hung up'));
    await second;
    assert.ok(performance.now() - began < 1000);
    await assert.rejects(collect(first), /hung up/);
  });

  it('an abort during a long prompt is obeyed before the prompt is through', async () => {
    const control = new AbortController();
    const long = request({ messages: [{ role: 'user', content: '7'.repeat(3900) }], stream: true });
    const generation = told(engine, long, control.signal);
    assert.equal((await generation.next()).value?.type, 'started');
    control.abort(new Error('hung up'));
    await assert.rejects(collect(generation), /hung up/);
    await until(() => engine.status().busy === 0);
  });

  it('survives the death of its child: running ends with engine_failed, the next request is served', async () => {
    const generation = told(engine, request(), NEVER);
    await untilFirstDelta(generation);
    const waiting = answer(engine, { maxTokens: 3, subject: 'usr_b' });
    await until(() => engine.status().queued === 1);
    const { pid } = engine.status();
    assert.ok(pid !== null);
    process.kill(pid, 'SIGKILL');
    await assert.rejects(collect(generation), failure('engine_failed'));
    assert.equal((await waiting).usage.completionTokens, 3);
    const { restarts, state, pid: next } = engine.status();
    assert.deepEqual([restarts, state], [1, 'ready']);
    assert.notEqual(next, pid);
  });

  it('is left alone after three early deaths, until somebody loads it again', async () => {
    while (engine.status().state !== 'failed') {
      const { pid, state } = engine.status();
      if (state === 'ready' && pid !== null) process.kill(pid, 'SIGKILL');
      await until(() => engine.status().pid !== pid || engine.status().state === 'failed');
      await until(() => engine.status().state !== 'loading');
    }
    await assert.rejects(answer(engine), failure('engine_failed', /again and again/));
    await assert.rejects(engine.load(), failure('engine_failed', /in quarantine/));
    engine.pardon();
    await engine.load();
    assert.equal((await answer(engine, { maxTokens: 2 })).reason, 'length');
  });

  it('a child that has fallen silent is killed and replaced', async () => {
    const silent = openLlama(await demoSpec(), { limits: { heartbeatMs: 3000, maxLoadingWaitMs: 120_000 } });
    try {
      await silent.load();
      const { pid } = silent.status();
      assert.ok(pid !== null);
      process.kill(pid, 'SIGSTOP');
      await until(() => silent.status().restarts === 1);
      assert.equal((await answer(silent)).text, DEMO_TEXT);
    } finally {
      await silent.close();
    }
  });
});
