import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import OpenAI, { BadRequestError } from 'openai';
import { DEMO_TEXT } from '../engine/demo.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'What are you? 你好' }] };
const UPSTREAM_TEXT = 'The upstream says 你好, 🙂 and stops.';

describe('several answers, probabilities and the sampler, as OpenAI’s own client asks for them', () => {
  let test: TestGateway;
  let fake: FakeUpstream;
  let analyst: Session;
  let openai: OpenAI;
  const authorities = tls.getCACertificates('default');

  before(async () => {
    fake = await startFakeUpstream();
    test = await TestGateway.open(async () => ({
      models: { demo: await demoEntry(), up: upstreamEntry(fake.url) },
    }));
    analyst = await test.signIn('analyst');
    tls.setDefaultCACertificates([...authorities, await readFile(join(test.dataDir, 'tls', 'ca.pem'), 'utf8')]);
    openai = new OpenAI({ baseURL: `${test.url}/v1`, apiKey: analyst.token, maxRetries: 0 });
  });
  after(async () => {
    tls.setDefaultCACertificates(authorities);
    await test[Symbol.asyncDispose]();
    await fake.close();
  });

  for (const [model, text] of [
    ['demo', DEMO_TEXT],
    ['up', UPSTREAM_TEXT],
  ] as const) {
    it(`answers five times, more than there are places: one request, all tokens on record (${model})`, async () => {
      const before = await requests();
      const { data, response } = await openai.chat.completions.create({ ...ASK, model, n: 5 }).withResponse();
      assert.deepEqual(
        data.choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason]),
        [0, 1, 2, 3, 4].map((index) => [index, text, 'stop']),
      );
      const records = await test.records(response.headers.get('x-request-id') ?? '');
      assert.deepEqual(
        records.map(({ kind }) => kind),
        ['intent', 'outcome'],
      );
      const said = records[1]?.event ?? {};
      assert.equal(said['choices'], 5);
      assert.equal(said['finish_reason'], 'stop');
      assert.deepEqual(
        [said['prompt_tokens'], said['completion_tokens']],
        [data.usage?.prompt_tokens, data.usage?.completion_tokens],
      );
      const one = await openai.chat.completions.create({ ...ASK, model });
      assert.equal(data.usage?.completion_tokens, 5 * (one.usage?.completion_tokens ?? 0));
      assert.equal(data.usage?.prompt_tokens, 5 * (one.usage?.prompt_tokens ?? 0), 'each prompt is computed');
      assert.equal((await requests()) - before, 2, 'requests are counted once');
    });

    it(`streams them side by side, each with its own role, text and end (${model})`, async () => {
      const options = { include_usage: true };
      const stream = await openai.chat.completions.create({
        ...ASK,
        model,
        n: 3,
        stream: true,
        stream_options: options,
      });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      const parts = chunks.flatMap(({ choices }) => choices);
      for (const index of [0, 1, 2]) {
        const own = parts.filter((part) => part.index === index);
        assert.equal(own[0]?.delta.role, 'assistant');
        assert.equal(own.map(({ delta }) => delta.content ?? '').join(''), text);
        assert.deepEqual(
          own.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null),
          ['stop'],
        );
      }
      assert.deepEqual(chunks.at(-1)?.choices, []);
      assert.ok((chunks.at(-1)?.usage?.completion_tokens ?? 0) > 0);
    });

    it(`tells probabilities with the text, whole and streamed (${model})`, async () => {
      const ask = { ...ASK, model, logprobs: true, top_logprobs: 2 };
      const whole = await openai.chat.completions.create(ask);
      const told = whole.choices[0]?.logprobs?.content ?? [];
      assert.equal(told.map(({ token }) => token).join(''), text);
      assert.ok(told.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 2));
      const stream = await openai.chat.completions.create({ ...ask, stream: true });
      let streamed = '';
      for await (const { choices } of stream) {
        const content = choices[0]?.logprobs?.content ?? [];
        streamed += content.map(({ token }) => token).join('');
      }
      assert.equal(streamed, text);
      const plain = await openai.chat.completions.create({ ...ASK, model });
      assert.equal(plain.choices[0]?.logprobs, null);
    });
  }

  async function requests(): Promise<number> {
    const answer = await test.client.get('/v1/usage', analyst.bearer);
    return answer.json<{ requests: { used: number } }>().requests.used;
  }

  it('gives each answer a seed of its own, and the record the first', async () => {
    await openai.chat.completions.create({ ...ASK, model: 'up', n: 3, seed: 4_294_967_295 });
    assert.deepEqual(
      fake.seen.slice(-3).map(({ body }) => body['seed']),
      [4_294_967_295, 0, 1],
    );
  });

  it('passes the sampler’s members on to an upstream as they are', async () => {
    const ask = { logit_bias: { 42: -5 }, frequency_penalty: 0.5, presence_penalty: -1 };
    await openai.chat.completions.create({ ...ASK, model: 'up', ...ask });
    const { body } = fake.seen.at(-1) ?? assert.fail();
    assert.deepEqual(body['logit_bias'], { 42: -5 });
    assert.deepEqual([body['frequency_penalty'], body['presence_penalty'], body['logprobs']], [0.5, -1, undefined]);
  });

  it('fails rather than leave out the probabilities that an upstream does not tell', async () => {
    fake.set({ logprobs: false });
    await assert.rejects(openai.chat.completions.create({ ...ASK, model: 'up', logprobs: true }), { status: 503 });
    fake.set({});
  });

  it('refuses by name what would change an answer and is not done here', async () => {
    const refused = {
      n: 9,
      top_logprobs: 2,
      logit_bias: { x: 1 },
      frequency_penalty: 3,
      functions: [],
      function_call: 'auto',
      audio: { voice: 'alloy', format: 'mp3' },
      modalities: ['audio'],
      prediction: { type: 'content', content: 'x' },
      web_search_options: {},
      service_tier: 'priority',
      store: true,
      reasoning_effort: 'high',
      verbosity: 'low',
      top_k: 40,
      grammar: 'root ::= "x"',
    };
    for (const [name, value] of Object.entries(refused)) {
      const work = openai.chat.completions.create({ ...ASK, [name]: value });
      await assert.rejects(work, (error) => {
        assert.ok(error instanceof BadRequestError, `${name}: ${error}`);
        assert.equal(error.param?.split(/[.[]/)[0], name);
        assert.equal(error.code, 'invalid_parameter');
        return true;
      });
    }
  });

  it('takes what changes nothing', async () => {
    const harmless = {
      ...{ user: 'mei', metadata: { case: '1' }, safety_identifier: 'x', prompt_cache_key: 'y' },
      ...{ store: false, service_tier: 'auto' as const, modalities: ['text' as const], audio: null, functions: null },
    };
    const { choices } = await openai.chat.completions.create({ ...ASK, ...harmless } as typeof ASK);
    assert.equal(choices[0]?.message.content, DEMO_TEXT);
  });
});
