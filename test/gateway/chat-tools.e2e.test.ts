import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import OpenAI, { BadRequestError } from 'openai';
import type { ChatCompletionFunctionTool, ChatCompletionMessageParam } from 'openai/resources';
import { nodeCrypto } from '#audit/note-crypto.node.ts';
import { verifyReceipt } from '#audit/receipt.shared.ts';
import { answersIn, messagesIn } from '#audit/transcript.shared.ts';
import { TAGGED } from '../fakes/tool-templates.ts';
import { type FakeUpstream, startFakeUpstream } from '../fakes/upstream.ts';
import { demoEntry, eventually, madeEntry, type Session, TestGateway, upstreamEntry } from '../harness/gateway.ts';

const SAYS = [
  'Wait. ',
  '<tool_call>\n{"name": "',
  'get_weather',
  '", "arguments": ',
  '{"city": ',
  '"Paris"',
  '}',
  '}\n</tool_call>',
];
const TOOLS: ChatCompletionFunctionTool[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  },
  { type: 'function', function: { name: 'now' } },
];
const ASK: ChatCompletionMessageParam[] = [{ role: 'user', content: 'How is the weather in Paris?' }];

describe('tools, as OpenAI’s own client uses them', () => {
  let test: TestGateway;
  let fake: FakeUpstream;
  let analyst: Session;
  let openai: OpenAI;
  const authorities = tls.getCACertificates('default');

  before(async () => {
    fake = await startFakeUpstream();
    test = await TestGateway.open(async (folder) => {
      const chatTemplateFile = join(folder, 'tagged.jinja');
      await writeFile(chatTemplateFile, TAGGED);
      return {
        models: {
          local: await madeEntry(folder, 'caller', { say: SAYS }, { chatTemplateFile }),
          up: upstreamEntry(fake.url),
          demo: await demoEntry(),
        },
      };
    });
    analyst = await test.signIn('analyst');
    tls.setDefaultCACertificates([...authorities, await readFile(join(test.dataDir, 'tls', 'ca.pem'), 'utf8')]);
    openai = new OpenAI({ baseURL: `${test.url}/v1`, apiKey: analyst.token, maxRetries: 0 });
    fake.set({ pieces: ['Wait.'], calls: [{ name: 'get_weather', arguments: ['{"city": ', '"Paris"}'] }] });
  });
  after(async () => {
    tls.setDefaultCACertificates(authorities);
    await test[Symbol.asyncDispose]();
    await fake.close();
  });

  const receiptOf = (requestId: string) =>
    eventually(async () => {
      const answer = await test.client.get(`/v1/receipts/${requestId}`, analyst.bearer);
      return answer.status === 200 && answer.json<{ outcome: unknown; verifier_key: string }>();
    });

  for (const model of ['local', 'up']) {
    it(`calls, takes the result and goes on; prompt and answer are committed to with their calls (${model})`, async () => {
      const { data, response } = await openai.chat.completions
        .create({ model, messages: ASK, tools: TOOLS })
        .withResponse();
      const [choice] = data.choices;
      assert.equal(choice?.finish_reason, 'tool_calls');
      assert.equal(choice.message.content, 'Wait.');
      const [call] = choice.message.tool_calls ?? [];
      assert.deepEqual(call?.type === 'function' && call.function, {
        name: 'get_weather',
        arguments: '{"city": "Paris"}',
      });
      const requestId = response.headers.get('x-request-id') ?? '';
      const [, outcome] = await test.records(requestId);
      assert.deepEqual(
        [outcome?.event['tools'], outcome?.event['tool_calls'], outcome?.event['finish_reason']],
        [2, 1, 'tool_calls'],
      );

      const messages = [
        ...ASK,
        choice.message,
        { role: 'tool' as const, tool_call_id: call?.id ?? '', content: 'sunny' },
      ];
      const next = await openai.chat.completions
        .create({ model, messages, tools: TOOLS, tool_choice: 'none' })
        .withResponse();
      const nextId = next.response.headers.get('x-request-id') ?? '';
      for (const [id, prompt, answer] of [
        [requestId, ASK, data],
        [nextId, messages, next.data],
      ] as const) {
        const receipt = await receiptOf(id);
        const texts = { prompt: messagesIn([...prompt]) ?? [], answer: answersIn(answer) ?? '' };
        const names = async (given: typeof texts) => {
          const checks = await verifyReceipt(nodeCrypto, receipt, receipt.verifier_key, given);
          return checks.filter(({ ok }) => !ok).map(({ name }) => name);
        };
        assert.deepEqual(await names(texts), []);
        const forged = JSON.parse(JSON.stringify(texts).replaceAll('Paris', 'Lyon')) as typeof texts;
        if (JSON.stringify(texts.prompt).includes('Paris')) assert.ok((await names(forged)).includes('prompt'));
        if (JSON.stringify(texts.answer).includes('get_weather')) {
          assert.ok((await names(forged)).includes('answer'));
          assert.ok(
            (await names({ ...texts, answer: 'Wait.' })).includes('answer'),
            'the text alone is not the answer',
          );
        }
      }
    });

    it(`streams calls as OpenAI’s deltas (${model})`, async () => {
      const runner = openai.chat.completions.stream({ model, messages: ASK, tools: TOOLS });
      const deltas = [];
      for await (const chunk of runner) deltas.push(...(chunk.choices[0]?.delta.tool_calls ?? []));
      assert.deepEqual(
        deltas.map(({ id }) => id !== undefined),
        [true, ...deltas.slice(1).map(() => false)],
      );
      const { choices } = await runner.finalChatCompletion();
      assert.equal(choices[0]?.finish_reason, 'tool_calls');
      const [call] = choices[0]?.message.tool_calls ?? [];
      assert.equal(call?.type === 'function' && call.function.arguments, '{"city": "Paris"}');
    });
  }

  it('a named function is forced on the model of this machine', async () => {
    const tool_choice = { type: 'function' as const, function: { name: 'now' } };
    const { choices } = await openai.chat.completions.create({
      model: 'local',
      messages: ASK,
      tools: TOOLS,
      tool_choice,
      n: 2,
    });
    for (const { message } of choices) {
      const [call] = message.tool_calls ?? [];
      assert.equal(call?.type === 'function' && call.function.name, 'now');
      assert.deepEqual(JSON.parse((call?.type === 'function' && call.function.arguments) || 'null'), {});
    }
  });

  it('an upstream is told all of it, and fails where it does not keep to it', async () => {
    const ask = { model: 'up', messages: ASK, tools: TOOLS };
    const tool_choice = { type: 'function' as const, function: { name: 'get_weather' } };
    await openai.chat.completions.create({ ...ask, tool_choice, parallel_tool_calls: false });
    const { body } = fake.seen.at(-1) ?? assert.fail();
    const none = { type: 'object', properties: {}, additionalProperties: false };
    const forced = TOOLS.map((tool) => ({ ...tool, function: { parameters: none, ...tool.function, strict: true } }));
    assert.deepEqual([body['tools'], body['tool_choice'], body['parallel_tool_calls']], [forced, tool_choice, false]);
    const fails = (change: object) =>
      assert.rejects(openai.chat.completions.create({ ...ask, ...change }), { status: 503 });
    await fails({ tool_choice: { type: 'function', function: { name: 'now' } } });
    const call = { name: 'get_weather', arguments: ['{}'] };
    fake.set({ calls: [call, call] });
    await fails({ parallel_tool_calls: false });
    fake.set({ calls: [{ name: 'get_weather', arguments: ['{"city": '] }] });
    await fails({});
    fake.set({ calls: [{ name: 'other', arguments: ['{}'] }] });
    await fails({});
    fake.set({});
    await fails({ tool_choice: 'required' });
  });

  it('refuses by name what can not be called, chosen or gone on with', async () => {
    const cases: [string, object][] = [
      ['tools', { model: 'demo', tools: TOOLS }],
      ['tools[0].type', { tools: [{ type: 'custom', custom: { name: 'x' } }] }],
      ['tools[1].function.name', { tools: [TOOLS[1], TOOLS[1]] }],
      ['tool_choice', { tools: TOOLS, tool_choice: { type: 'function', function: { name: 'other' } } }],
      ['tool_choice', { tool_choice: 'auto' }],
      ['messages[1].tool_call_id', { messages: [...ASK, { role: 'tool', tool_call_id: 'x', content: 'y' }] }],
      ['messages[1]', { messages: [...ASK, calling('{}')] }],
      [
        'messages[1].tool_calls[0].function.arguments',
        { messages: [...ASK, calling('[]'), { role: 'tool', tool_call_id: 'c', content: 'y' }] },
      ],
    ];
    for (const [param, change] of cases) {
      const work = openai.chat.completions.create({ model: 'local', messages: ASK, ...change });
      await assert.rejects(work, (error) => {
        assert.ok(error instanceof BadRequestError, `${param}: ${error}`);
        assert.equal(error.param, param);
        return true;
      });
    }
  });
  const calling = (text: string) => ({
    role: 'assistant',
    tool_calls: [{ id: 'c', type: 'function', function: { name: 'now', arguments: text } }],
  });
});
