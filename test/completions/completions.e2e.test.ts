import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import OpenAI, { BadRequestError } from 'openai';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { sentAnswer } from '#audit/receipt-texts.shared.ts';
import { collect, DEMO_TEXT } from '../engine/demo.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, eventually, madeEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const SAID = 'The upstream says 你好, 🙂 and stops.';

describe('completions of prompts over TLS, as OpenAI’s own client uses them', () => {
  let test: TestGateway;
  let upstream: FakeUpstream;
  let analyst: Session;
  let openai: OpenAI;
  let verifierKey: string;
  const authorities = tls.getCACertificates('default');

  before(async () => {
    upstream = await startFakeUpstream();
    test = await TestGateway.open(async (folder) => ({
      models: {
        demo: await demoEntry(),
        endless: await madeEntry(folder, 'endless', { loop: true }, { contextSize: 4096, maxOutputTokens: 4000 }),
        far: upstreamEntry(upstream.url),
        vectors: upstreamEntry(upstream.url, { embedding: true }),
      },
    }));
    await test.allowLongAnswers();
    analyst = await test.signIn('analyst');
    tls.setDefaultCACertificates([...authorities, await readFile(join(test.dataDir, 'tls', 'ca.pem'), 'utf8')]);
    openai = new OpenAI({ baseURL: `${test.url}/v1`, apiKey: analyst.token, maxRetries: 0 });
    const [start] = await test.database.sql<{ record: string }>(
      "SELECT record FROM entry WHERE action = 'gateway.start'",
    );
    verifierKey = JSON.parse(start?.record ?? '').event.audit_key;
  });
  after(async () => {
    tls.setDefaultCACertificates(authorities);
    await test[Symbol.asyncDispose]();
    await upstream.close();
  });

  const post = (body: object) => test.client.post('/v1/completions', body, analyst.bearer);
  const errorOf = (answer: Answer) => answer.json<{ error: Record<string, unknown> }>().error;
  const requestOf = (answer: Answer) => String(answer.headers['x-request-id']);

  for (const [model, text] of [
    ['demo', DEMO_TEXT],
    ['far', SAID],
  ] as const) {
    it(`${model}: answers whole, and what it used is on record and taken from the quota`, async () => {
      const before = (await test.usage(analyst)).tokens.used;
      const { data, response } = await openai.completions
        .create({ model, prompt: 'Once upon', max_tokens: 200 })
        .withResponse();
      assert.equal(data.object, 'text_completion');
      assert.equal(data.id, `cmpl-${response.headers.get('x-request-id')}`);
      assert.deepEqual(data.choices, [{ text, index: 0, logprobs: null, finish_reason: 'stop' }]);
      const used = data.usage ?? assert.fail();
      assert.equal(used.total_tokens, used.prompt_tokens + used.completion_tokens);
      assert.equal((await test.usage(analyst)).tokens.used, before + used.total_tokens);
      const outcome = await test.outcome(response.headers.get('x-request-id') ?? '');
      assert.deepEqual(
        [outcome.outcome, outcome.event['route'], outcome.event['prompt_tokens'], outcome.event['completion_tokens']],
        ['completed', 'completions', used.prompt_tokens, used.completion_tokens],
      );
      assert.ok(!JSON.stringify(outcome).includes('Once upon'));
    });

    it(`${model}: streams the same text, the finish reason after it, the usage last where it was asked for`, async () => {
      const stream = await openai.completions.create({
        ...{ model, prompt: 'Once upon', max_tokens: 200, stream: true },
        stream_options: { include_usage: true },
      });
      const chunks = await collect(stream);
      assert.ok(chunks.every(({ object }) => object === 'text_completion'));
      assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), text);
      assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, 'stop');
      assert.deepEqual(chunks.at(-1)?.choices, []);
      const outcome = await test.outcome((chunks[0]?.id ?? '').replace('cmpl-', ''));
      assert.equal(chunks.at(-1)?.usage?.completion_tokens, outcome.event['completion_tokens']);
    });

    it(`${model}: each prompt of a list is a choice of its own, in one admission`, async () => {
      const { data, response } = await openai.completions
        .create({ model, prompt: ['a', 'b', 'c', 'd', 'e'], max_tokens: 3 })
        .withResponse();
      assert.deepEqual(
        data.choices.map(({ index, finish_reason }) => [index, finish_reason]),
        [0, 1, 2, 3, 4].map((index) => [index, 'length']),
      );
      assert.ok(data.choices.every((choice) => choice.text !== '' && text.startsWith(choice.text)));
      assert.equal(data.usage?.completion_tokens, 15);
      const records = await test.records(response.headers.get('x-request-id') ?? '');
      assert.deepEqual(
        records.map(({ kind }) => kind),
        ['intent', 'outcome'],
      );
      assert.deepEqual([records[1]?.event['choices'], records[1]?.event['completion_tokens']], [5, 15]);
      const stream = await openai.completions.create({ model, prompt: ['a', 'b', 'c'], max_tokens: 200, stream: true });
      const texts = ['', '', ''];
      const reasons = [];
      for await (const { choices } of stream)
        for (const { index, text: piece, finish_reason } of choices) {
          texts[index] += piece;
          if (finish_reason !== null) reasons.push(index);
        }
      assert.deepEqual(texts, [text, text, text]);
      assert.deepEqual(reasons.sort(), [0, 1, 2]);
    });

    it(`${model}: n choices of each prompt, side by side and on one record, whole and as a stream`, async () => {
      const ask = { model, prompt: ['a', 'b'], n: 2, max_tokens: 200, seed: 5 };
      const { data, response } = await openai.completions.create(ask).withResponse();
      assert.deepEqual(
        data.choices.map(({ index, text: said }) => [index, said]),
        [0, 1, 2, 3].map((index) => [index, text]),
      );
      const outcome = await test.outcome(response.headers.get('x-request-id') ?? '');
      assert.deepEqual(
        [outcome.event['choices'], outcome.event['prompt_tokens'], outcome.event['completion_tokens']],
        [4, data.usage?.prompt_tokens, data.usage?.completion_tokens],
      );
      const reasons = [];
      for await (const { choices } of await openai.completions.create({ ...ask, stream: true }))
        for (const { index, finish_reason } of choices) if (finish_reason !== null) reasons.push(index);
      assert.deepEqual(reasons.sort(), [0, 1, 2, 3]);
    });

    it(`${model}: logprobs of its tokens in the older form, the same in a stream as of the whole`, async () => {
      const ask = { model, prompt: 'Once upon', max_tokens: 200, temperature: 0.1, seed: 5, logprobs: 2 };
      const whole = (await openai.completions.create(ask)).choices[0] ?? assert.fail();
      const { tokens = [], token_logprobs = [], top_logprobs = [], text_offset = [] } = whole.logprobs ?? {};
      assert.equal(tokens.join(''), text);
      assert.ok(token_logprobs.every((logprob) => logprob <= 0));
      assert.ok(
        top_logprobs.every(
          (top, at) => [2, 3].includes(Object.keys(top).length) && top[tokens[at] ?? ''] !== undefined,
        ),
      );
      for (const [at, token] of tokens.entries())
        assert.ok([...text].slice(text_offset[at]).join('').startsWith(token), `${token} at ${text_offset[at]}`);
      const streamed = { tokens: [] as string[], text_offset: [] as number[] };
      for await (const { choices } of await openai.completions.create({ ...ask, stream: true })) {
        streamed.tokens.push(...(choices[0]?.logprobs?.tokens ?? []));
        streamed.text_offset.push(...(choices[0]?.logprobs?.text_offset ?? []));
      }
      assert.deepEqual(streamed, { tokens, text_offset });
      const [none] = (await openai.completions.create({ ...ask, logprobs: 0 })).choices;
      assert.ok(none?.logprobs?.top_logprobs?.every((top) => Object.keys(top).length === 1));
    });

    it(`${model}: the receipt proves prompt and answer as they went over the wire, one or several`, async () => {
      for (const [prompt, n] of [
        ['Once upon', 1],
        ['Once upon', 2],
        [['Once', 'upon'], 1],
      ] as const) {
        const body = { model, prompt, n, max_tokens: 20, logprobs: 1 };
        const answer = await post(body);
        const receipt = (await test.client.get(String(answer.headers['x-audit-receipt']), analyst.bearer)).json();
        const wrong = async (sent: string | readonly string[], got: string) =>
          (await verifyReceipt(nodeCrypto, receipt, verifierKey, { prompt: sent, answer: sentAnswer(got) }))
            .filter(({ ok }) => !ok)
            .map(({ name }) => name);
        assert.deepEqual(await wrong(prompt, answer.text), []);
        assert.deepEqual(await wrong('Once upon!', answer.text.replaceAll('"text":"T', '"text":"t')), [
          'prompt',
          'answer',
        ]);
      }
    });
  }

  it('obeys stop, seed and max_tokens, and OpenAI’s 16 where nothing is said', async () => {
    const stopped = await openai.completions.create({ model: 'demo', prompt: 'x', stop: ' from', seed: 7 });
    assert.equal(stopped.choices[0]?.text, 'This answer comes');
    const plain = await openai.completions.create({ model: 'demo', prompt: 'x' });
    assert.equal(plain.usage?.completion_tokens, 16);
    await openai.completions.create({ model: 'far', prompt: 'x', temperature: 0.5, top_p: 0.9, seed: 3, stop: ['y'] });
    const { body } = upstream.seen.at(-1) ?? assert.fail();
    assert.deepEqual(
      [body['prompt'], body['messages'], body['temperature'], body['top_p'], body['seed'], body['stop']],
      ['x', undefined, 0.5, 0.9, 3, ['y']],
    );
  });

  it('is held within the bounds of policy, and the record says so', async () => {
    const answer = await post({ model: 'far', prompt: 'x', temperature: 0, top_p: 0.9 });
    assert.equal(upstream.seen.at(-1)?.body['temperature'], 0.1);
    const [intent] = await test.records(requestOf(answer));
    assert.deepEqual(intent?.event['bounds'], ['temperature 0 -> 0.1 (analyst-temperature)']);
  });

  it('refuses what it does not serve by its name, and prompts of token ids in words', async () => {
    for (const [change, param] of [
      [{ echo: true }, 'echo'],
      [{ suffix: 'x' }, 'suffix'],
      [{ best_of: 2 }, 'best_of'],
      [{ logprobs: 6 }, 'logprobs'],
    ] as const) {
      const refused = openai.completions.create({ model: 'demo', prompt: 'x', ...change });
      await assert.rejects(refused, (error) => error instanceof BadRequestError && error.param === param);
    }
    const tokens = await post({ model: 'demo', prompt: [1, 2, 3] });
    assert.equal(tokens.status, 422);
    assert.match(String(errorOf(tokens)['message']), /token ids/);
    const vectors = await post({ model: 'vectors', prompt: 'x' });
    assert.deepEqual([vectors.status, errorOf(vectors)['param']], [400, 'model']);
    assert.equal((await test.outcome(requestOf(vectors))).outcome, 'not_run');
  });

  it('a prompt that is too long is refused with both figures, and costs nothing', async () => {
    const before = (await test.usage(analyst)).tokens.used;
    const answer = await post({ model: 'demo', prompt: '7'.repeat(2000) });
    assert.deepEqual(
      [answer.status, answer.code, errorOf(answer)['param']],
      [400, 'context_length_exceeded', 'prompt'],
    );
    assert.match(String(errorOf(answer)['message']), /2000 tokens.*1024/);
    assert.equal((await test.usage(analyst)).tokens.used, before);
  });

  it('a list that the quota does not cover is cut where it ends, and says so', async () => {
    const { used } = (await test.usage(analyst)).tokens;
    await test.database.sql(`INSERT INTO quota_limit VALUES ($1, 'tokens_day', $2)`, [
      `user:${analyst.subject}`,
      used + 60,
    ]);
    try {
      const answer = await post({ model: 'endless', prompt: ['7', '7'], max_tokens: 1000 });
      assert.equal(answer.status, 200, answer.text);
      const { choices, usage, stopped_by } = answer.json<{
        choices: { finish_reason: string }[];
        usage: { total_tokens: number };
        stopped_by: object;
      }>();
      assert.deepEqual(
        choices.map(({ finish_reason }) => finish_reason),
        ['length', 'length'],
      );
      assert.deepEqual(stopped_by, { quota: 'tokens_day', scope: 'user' });
      assert.ok(usage.total_tokens <= 60 && usage.total_tokens > 40, `${usage.total_tokens} of 60`);
      assert.equal((await test.usage(analyst)).tokens.used, used + usage.total_tokens);
    } finally {
      await test.database.sql('DELETE FROM quota_limit WHERE scope = $1', [`user:${analyst.subject}`]);
    }
  });

  it('stops every choice within a second when the client hangs up, and charges what was made', async () => {
    const admin = await test.signIn('admin');
    const busy = async () => {
      const { data } = (await test.client.get('/admin/models', admin.bearer)).json<{
        data: { id: string; busy: number; queued: number }[];
      }>();
      const { busy: inside = 0, queued = 0 } = data.find(({ id }) => id === 'endless') ?? {};
      return inside + queued;
    };
    const open = await test.client.open('POST', '/v1/completions', {
      headers: analyst.bearer,
      body: { model: 'endless', prompt: ['a', 'b', 'c'], max_tokens: 4000, stream: true },
    });
    const events = open.events();
    for (let read = 0; read < 6; read++) await events.next();
    assert.equal(await busy(), 2, 'as many as the model has places');
    const began = performance.now();
    open.hangUp();
    await eventually(async () => (await busy()) === 0);
    assert.ok(performance.now() - began < 1000);
    const outcome = await test.outcome(String(open.headers['x-request-id']));
    assert.equal(outcome.outcome, 'client_closed');
    assert.ok(Number(outcome.event['completion_tokens']) > 0);
  });
});
