import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import OpenAI, { BadRequestError } from 'openai';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { sentAnswer } from '#audit/receipt-texts.shared.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, embeddingEntry, eventually, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';
import type { Answer } from '../harness/https-client.ts';

const length = (vector: readonly number[]) => Math.hypot(...vector);
const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

describe('embeddings over TLS, as OpenAI’s own client uses them', () => {
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
        vectors: await embeddingEntry(folder, { contextSize: 256 }),
        far: upstreamEntry(upstream.url, { embedding: true, contextSize: 256 }),
        demo: await demoEntry(),
      },
    }));
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

  const post = (body: object, headers = analyst.bearer) => test.client.post('/v1/embeddings', body, headers);
  const errorOf = (answer: Answer) => answer.json<{ error: Record<string, unknown> }>().error;
  const requestOf = (answer: Answer) => String(answer.headers['x-request-id']);
  const tokensUsed = async () => (await test.usage(analyst)).tokens.used;

  for (const [model, dimensions] of [
    ['vectors', 256],
    ['far', 3],
  ] as const) {
    it(`${model}: a vector of length 1 for each text, in both spellings, which the client can’t tell apart`, async () => {
      const input = ['{', '7777', '{7'];
      const plain = await openai.embeddings.create({ model, input, encoding_format: 'float' });
      assert.deepEqual(
        plain.data.map(({ object, index }) => [object, index]),
        [0, 1, 2].map((index) => ['embedding', index]),
      );
      for (const { embedding } of plain.data) {
        assert.equal(embedding.length, dimensions);
        assert.ok(Math.abs(length(embedding) - 1) < 1e-5, `${length(embedding)}`);
      }
      // OpenAI's client asks for base64 where nothing is said, and turns it into numbers itself.
      const coded = await openai.embeddings.create({ model, input });
      assert.deepEqual(
        coded.data.map(({ embedding }) => embedding),
        plain.data.map(({ embedding }) => embedding),
      );
      const raw = await post({ model, input: '{', encoding_format: 'base64' });
      const [first] = raw.json<{ data: { embedding: string }[] }>().data;
      assert.equal(Buffer.from(first?.embedding ?? '', 'base64').length, 4 * dimensions);
    });

    it(`${model}: the record has counts and commitments and no text; the quota what was counted`, async () => {
      const before = await tokensUsed();
      const { data, response } = await openai.embeddings
        .create({ model, input: ['secret words', '7777'] })
        .withResponse();
      assert.equal(data.usage.prompt_tokens, data.usage.total_tokens);
      assert.equal(await tokensUsed(), before + data.usage.total_tokens);
      const records = await test.records(response.headers.get('x-request-id') ?? '');
      assert.deepEqual(
        records.map(({ kind, outcome, resource }) => [kind, outcome, resource]),
        [
          ['intent', 'admitted', `model:${model}`],
          ['outcome', 'completed', `model:${model}`],
        ],
      );
      const said = records[1]?.event ?? {};
      assert.deepEqual(
        [said['prompt_tokens'], said['completion_tokens'], said['inputs'], said['dimensions'], said['route']],
        [data.usage.prompt_tokens, 0, 2, dimensions, 'embeddings'],
      );
      assert.ok(!JSON.stringify(records).includes('secret words'));
    });

    it(`${model}: the receipt proves texts and vectors as they went over the wire, in either spelling`, async () => {
      for (const [input, encoding_format] of [
        ['{7', 'float'],
        [['{', '7'], 'float'],
        [['{', '7'], 'base64'],
      ] as const) {
        const answer = await post({ model, input, encoding_format });
        const receipt = (await test.client.get(String(answer.headers['x-audit-receipt']), analyst.bearer)).json();
        const wrong = async (sent: string | readonly string[], got: string) =>
          (await verifyReceipt(nodeCrypto, receipt, verifierKey, { prompt: sent, answer: sentAnswer(got) }))
            .filter(({ ok }) => !ok)
            .map(({ name }) => name);
        assert.deepEqual(await wrong(input, answer.text), []);
        const other = await post({ model, input: '7{{', encoding_format });
        assert.deepEqual(await wrong('{77', other.text), ['prompt', 'answer']);
      }
    });

    it(`${model}: a text that is too long is refused with both figures, and costs nothing`, async () => {
      const before = await tokensUsed();
      upstream.set({ contextSize: 256 });
      const answer = await post({ model, input: ['7', '7'.repeat(1100)] });
      upstream.set({});
      assert.deepEqual(
        [answer.status, answer.code, errorOf(answer)['param']],
        [400, 'context_length_exceeded', 'input'],
      );
      assert.match(
        String(errorOf(answer)['message']),
        /\b1 has .*\d{3,} tokens.* 25[56] |number 1 has about 275 tokens.*256/,
      );
      assert.equal(await tokensUsed(), before);
      assert.equal((await test.outcome(requestOf(answer))).outcome, 'not_run');
    });
  }

  it('counts the tokens of our own model exactly', async () => {
    // A digit is a token of its own, and nothing is put around a text.
    const { usage, data } = await openai.embeddings.create({ model: 'vectors', input: ['7', '77', '777'] });
    assert.equal(usage.prompt_tokens, 6);
    assert.ok(Math.abs(dot(data[0]?.embedding, data[2]?.embedding) - 1) < 1e-5, 'the same token, whatever the number');
  });

  it('a model that answers makes no vectors, and says so; what each can do is in the list', async () => {
    const answer = await post({ model: 'demo', input: 'x' });
    assert.deepEqual([answer.status, answer.code, errorOf(answer)['param']], [400, 'invalid_parameter', 'model']);
    assert.match(String(errorOf(answer)['message']), /embedding: true/);
    const chat = await test.client.post(
      '/v1/chat/completions',
      { model: 'vectors', messages: [{ role: 'user', content: 'x' }] },
      analyst.bearer,
    );
    assert.deepEqual([chat.status, errorOf(chat)['param']], [400, 'model']);
    const list = await openai.models.list();
    assert.deepEqual(
      list.data.map((model) => [model.id, (model as unknown as { capabilities: string[] }).capabilities]),
      [
        ['vectors', ['embeddings']],
        ['far', ['embeddings']],
        ['demo', ['chat', 'completions']],
      ],
    );
  });

  it('refuses what it does not serve by its name', async () => {
    const short = openai.embeddings.create({ model: 'vectors', input: 'x', dimensions: 64 });
    await assert.rejects(short, (error) => error instanceof BadRequestError && error.param === 'dimensions');
    const tokens = await post({ model: 'vectors', input: [1, 2, 3] });
    assert.match(String(errorOf(tokens)['message']), /token ids/);
    assert.equal((await post({ model: 'nothing', input: 'x' })).code, 'model_not_found');
  });

  it('an API key that is limited to other models or actions gets none', async () => {
    const { password } = test.account('analyst');
    const keyWith = async (limits: object) => {
      const made = await test.client.post('/auth/keys', { name: 'k', password, ...limits }, analyst.bearer);
      return { 'x-api-key': String(made.json()['key']) };
    };
    const ask = async (limits: object) => post({ model: 'vectors', input: 'x' }, await keyWith(limits));
    assert.equal((await ask({ models: ['vectors'], actions: ['infer'] })).status, 200);
    assert.equal((await ask({ models: ['demo'] })).code, 'model_not_found');
    assert.equal((await ask({ actions: ['models.list'] })).code, 'model_not_found');
  });

  it('is refused where the quota is used up, and nothing is computed', async () => {
    const used = await tokensUsed();
    await test.database.sql("INSERT INTO quota_limit VALUES ($1, 'tokens_day', $2)", [
      `user:${analyst.subject}`,
      used + 10,
    ]);
    try {
      // The estimate fits, the count does not: 7 tokens were thought of, and there are 20.
      const answer = await post({ model: 'vectors', input: '7'.repeat(20) });
      assert.deepEqual([answer.status, errorOf(answer)['quota']], [429, 'tokens_day'], answer.text);
      assert.equal(await tokensUsed(), used);
      assert.equal((await post({ model: 'vectors', input: '7'.repeat(4) })).status, 200);
    } finally {
      await test.database.sql('DELETE FROM quota_limit WHERE scope = $1', [`user:${analyst.subject}`]);
    }
  });

  it('leaves the rest of a list within a second when the client hangs up; what it had counted is charged', async () => {
    const admin = await test.signIn('admin');
    const busy = async () => {
      const { data } = (await test.client.get('/admin/models', admin.bearer)).json<{
        data: { id: string; busy: number }[];
      }>();
      return data.find(({ id }) => id === 'vectors')?.busy ?? 0;
    };
    const before = await tokensUsed();
    const control = new AbortController();
    const going = openai.embeddings
      .create({ model: 'vectors', input: Array(256).fill('7'.repeat(200)) }, { signal: control.signal })
      .catch((error: unknown) => error);
    // All of them are counted and paid for: from then on they are computed.
    await eventually(async () => (await tokensUsed()) >= before + 256 * 200);
    assert.equal(await busy(), 1);
    const began = performance.now();
    control.abort();
    await eventually(async () => (await busy()) === 0);
    assert.ok(performance.now() - began < 1000);
    await going;
    const outcome = await eventually(async () => {
      const rows = await test.database.sql<{ record: string }>(
        "SELECT record FROM entry WHERE kind = 'outcome' AND outcome = 'client_closed'",
      );
      return rows[0];
    });
    const { inputs, vectors } = JSON.parse(outcome.record).event;
    assert.ok(inputs === 256 && vectors < 256, `${vectors} of ${inputs}`);
  });
});
