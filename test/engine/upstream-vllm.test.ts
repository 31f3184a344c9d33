import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Engine, GenerationRequest, TokenLogprob } from '#engine/engine.ts';
import { openUpstreamModel } from '#engine/upstream/model.upstream.ts';
import { systemClock } from '#kernel/clock.ts';
import { type Log, silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { PAID } from '../fakes/credit.ts';
import { answer } from './demo.ts';

/** Chunks as vLLM 0.32.0 sent them, ids and times left out. */
const chunk = (choice: string): string =>
  `data: {"id":"chatcmpl-a","object":"chat.completion.chunk","created":1,"model":"made","choices":[${choice}]}\n\n`;
const delta = (said: string, logprobs = 'null', end = 'null'): string =>
  chunk(`{"index":0,"delta":{${said}},"logprobs":${logprobs},"finish_reason":${end},"token_ids":null}`);
const ROLE = delta('"role":"assistant","content":""');
const DONE = 'data: [DONE]\n\n';
const likely = (token: string): string =>
  `{"token":"${token}","logprob":-0.003239148296415806,"bytes":[${[...Buffer.from(token.replace('\\n', '\n'))]}],"top_logprobs":[]}`;
const told = (...tokens: string[]): string => `{"content":[${tokens.map(likely)}]}`;
/** The whole answer to a question. */
const whole = (message: string, logprobs = 'null'): string =>
  `{"id":"chatcmpl-a","object":"chat.completion","created":1,"model":"made","choices":[{"index":0,"message":{"role":"assistant",${message},"refusal":null,"annotations":null,"audio":null,"function_call":null},"logprobs":${logprobs},"finish_reason":"stop","stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-973943a3","usage":{"prompt_tokens":13,"total_tokens":42,"completion_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":0,"multimodal_tokens":null},"completion_tokens_details":{"reasoning_tokens":18}},"prompt_logprobs":null}`;

const SCHEMA = { type: 'json_schema', name: 'x', schema: { type: 'array', uniqueItems: true } } as const;

describe('what vLLM 0.32 says', () => {
  let said = { status: 200, type: 'text/event-stream; charset=utf-8', body: '' };
  let asked: Record<string, unknown> = {};
  const server = createServer(async (incoming, response) => {
    let text = '';
    for await (const part of incoming.setEncoding('utf8')) text += part;
    if (incoming.method === 'GET') {
      response.end();
      return;
    }
    asked = JSON.parse(text);
    response.writeHead(said.status, { 'content-type': said.type }).end(said.body);
  });
  let engine: Engine;
  let logged: string[] = [];
  const log: Log = { ...silentLog, warn: (message, fields) => void logged.push(`${message} ${fields?.['error']}`) };
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
    engine = openUpstreamModel(
      { id: 'up', urls, model: 'made', maxOutputTokens: 512, contextSize: 1024 },
      // One failure would take it out of service.
      { log, clock: systemClock, limits: { failures: 1 } },
    );
    await engine.load();
  });
  after(async () => {
    await engine.close();
    server.close();
  });
  beforeEach(() => {
    logged = [];
  });
  const stream = (body: string, change: Partial<GenerationRequest> = {}) => {
    said = { status: 200, type: 'text/event-stream; charset=utf-8', body };
    return answer(engine, change);
  };
  const json = (body: string, change: Partial<GenerationRequest> = {}, status = 200) => {
    said = { status, type: 'application/json', body };
    return answer(engine, { stream: false, ...change });
  };
  const logprobsOf = ({ events }: Awaited<ReturnType<typeof answer>>): readonly TokenLogprob[] =>
    events.flatMap((event) => (event.type === 'delta' ? (event.logprobs ?? []) : []));
  const tokensOf = (made: Awaited<ReturnType<typeof answer>>) => logprobsOf(made).map(({ token }) => token);

  describe('a refusal', () => {
    const BIAS =
      '{"error": {"message": "token_id(s) [99999] in logit_bias contain out-of-vocab token ids. Vocabulary size: 1024 (parameter=logit_bias, value=[99999])", "type": "BadRequestError", "param": "logit_bias", "code": 400}}';
    const GRAMMAR =
      '{"error": {"message": "Grammar error: Unimplemented keys: [\\"uniqueItems\\"]", "type": "BadRequestError", "param": null, "code": 400}}';
    const RAY =
      '{"error":{"message":"Message: token_id(s) [99999] in logit_bias contain out-of-vocab token ids. Vocabulary size: 1024 (parameter=logit_bias, value=[99999]) (Request ID: 986b27fd), Internal exception: ray.llm._internal.serve.core.configs.openai_api_models.OpenAIHTTPException (Request ID: 986b27fd), original exception: ","type":"OpenAIHTTPException","param":null,"code":400}}';
    const LONG =
      '{"error":{"message":"This model\'s maximum context length is 1024 tokens. However, your prompt contains at least 1025 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=1025)","type":"BadRequestError","param":"input_tokens","code":400}}';
    const PARSER =
      '{"error":{"message":"\\"auto\\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","param":null,"code":400}}';
    const tools = { functions: [{ name: 'now' }], choice: 'auto', parallel: true } as const;
    const refusedFor = (code: Problem['code'], param: string | undefined) => (error: unknown) => {
      assert.ok(error instanceof Problem, String(error));
      assert.deepEqual([error.code, error.detail.param], [code, param]);
      assert.doesNotMatch(error.detail.message ?? '', /vocab|Unimplemented|reduce|requires/);
      return true;
    };
    for (const [what, body, change, code, param] of [
      ['names the parameter', BIAS, { logitBias: { '99999': 5 } }, 'invalid_parameter', 'logit_bias'],
      ['names it behind Ray Serve 2.60', RAY, { logitBias: { '99999': 5 } }, 'invalid_parameter', 'logit_bias'],
      ['of a schema', GRAMMAR, { responseFormat: SCHEMA }, 'invalid_parameter', 'response_format'],
      ['of tools that it has no parser for', PARSER, { tools }, 'invalid_parameter', 'tools'],
      ['of nothing that we know of', GRAMMAR, {}, 'invalid_parameter', undefined],
      ['of a long prompt', LONG, {}, 'context_length_exceeded', 'messages'],
    ] as const) {
      it(`${what}: the same with status 400 and inside a stream of status 200, and nothing against the server`, async () => {
        await assert.rejects(json(body, change, 400), refusedFor(code, param));
        await assert.rejects(stream(`data: ${body}\n\n${DONE}`, change), refusedFor(code, param));
        assert.deepEqual([engine.status().state, logged], ['ready', []]);
        assert.equal(engine.status().upstream?.replicas[0]?.failures, 0);
      });
    }

    it('after a first word is a failure of the server', async () => {
      const other = openUpstreamModel(
        {
          id: 'up',
          urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
          model: 'made',
          maxOutputTokens: 9,
        },
        { log, clock: systemClock },
      );
      await other.load();
      for (const error of [
        BIAS,
        '{"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": null, "code": 500}}',
      ]) {
        said = {
          ...said,
          type: 'text/event-stream',
          body: `${ROLE}${delta('"content":"Hello"')}data: ${error}\n\n${DONE}`,
        };
        await assert.rejects(answer(other), { code: 'engine_failed' });
        assert.match(logged.pop() ?? '', /the server reports an error/);
      }
      await other.close();
    });
  });

  it('more than its context holds is not asked of it: it would refuse', async () => {
    await stream(ROLE + delta('"content":"Hello"', 'null', '"stop"') + DONE, { maxTokens: 5000 });
    assert.equal(asked['max_tokens'], 1024);
  });

  describe('calls', () => {
    const functions = [
      { name: 'weather', parameters: { type: 'object', properties: { town: { type: 'string' } } } },
      { name: 'stop', strict: false },
    ];
    it('are forced to their schemas only where each function says so, and has one', async () => {
      await stream(ROLE + delta('"content":"Hello"', 'null', '"stop"') + DONE, {
        tools: { functions, choice: 'auto', parallel: true },
      });
      const empty = { type: 'object', properties: {}, additionalProperties: false };
      assert.deepEqual(asked['tools'], [
        { type: 'function', function: { ...functions[0], strict: true } },
        { type: 'function', function: { name: 'stop', parameters: empty, strict: true } },
      ]);
    });

    it('that are cut before their name is whole are not shown, and count', async () => {
      const cut = () =>
        ROLE +
        delta('', 'null', '"length"') +
        'data: {"id":"chatcmpl-a","object":"chat.completion.chunk","created":1,"model":"made","choices":[],"usage":{"prompt_tokens":9,"total_tokens":49,"completion_tokens":40},"system_fingerprint":"vllm-0.32.0-973943a3"}\n\n' +
        DONE;
      const tools = { functions, choice: 'required', parallel: true } as const;
      const { usage } = await stream(cut(), { tools });
      assert.deepEqual(usage, { promptTokens: 9, completionTokens: 40, cachedTokens: 0 });
      assert.equal(engine.status().upstream?.miscounted, 0);
      const poor = { ...PAID, covers: (tokens: number) => tokens <= 9 };
      assert.equal(
        (await stream(cut(), { tools, credit: poor })).usage.completionTokens,
        0,
        'what is not paid for does not',
      );
    });

    it('come name first, then their arguments in pieces', async () => {
      const call = (what: string) => delta(`"content":null,"tool_calls":[${what}]`);
      const { events, reason } = await stream(
        ROLE +
          call('{"id":"chatcmpl-tool-8","type":"function","index":0,"function":{"name":"weather"}}') +
          ['{\\"', 'town', '\\":', ' \\"', 'Rome', '\\"}']
            .map((part) => call(`{"index":0,"function":{"arguments":"${part}"}}`))
            .join('') +
          delta('', 'null', '"tool_calls"') +
          DONE,
        { tools: { functions, choice: 'auto', parallel: true } },
      );
      assert.equal(reason, 'tool_calls');
      const pieces = events.flatMap((event) => (event.type === 'delta' ? (event.calls ?? []) : []));
      assert.equal(pieces.map(({ arguments: part }) => part).join(''), '{"town": "Rome"}');
    });
  });

  describe('probabilities', () => {
    const asks = { topLogprobs: 0 };
    it('of a character’s first bytes come before it', async () => {
      const made = await stream(
        ROLE +
          ['', '', '你', '', '', '好'].map((token) => delta(token && `"content":"${token}"`, told(token))).join('') +
          delta('', told('<|im_end|>'), '"stop"') +
          DONE,
        asks,
      );
      assert.deepEqual([made.text, tokensOf(made)], ['你好', ['', '', '你', '', '', '好']]);
    });

    it('come before the text that is held back for a stop sequence', async () => {
      const made = await stream(
        ROLE +
          [
            ['', '1'],
            ['', ','],
            ['1', ' 2'],
            [',', ','],
            [' 2', ' 3'],
            [',', ','],
          ]
            .map(([text = '', token = '']) => delta(text && `"content":"${text}"`, told(token)))
            .join('') +
          delta('"content":" "', told(' 4'), '"stop"') +
          DONE,
        asks,
      );
      assert.deepEqual([made.text, tokensOf(made)], ['1, 2, ', ['1', ',', ' 2', ',', ' 3', ',', ' 4']]);
    });

    it('of a thought are told too, and are not the text’s', async () => {
      const made = await stream(
        ROLE +
          delta('', told('<think>')) +
          delta('"reasoning":"4"', told('4')) +
          delta('', told('</think>')) +
          delta('"content":"\\n"', told('\\n')) +
          delta('"content":"42"', told('42'), '"stop"') +
          DONE,
        asks,
      );
      assert.deepEqual([made.text, tokensOf(made)], ['\n42', ['\n', '42']]);
    });

    it('of a whole answer are those of its text', async () => {
      const thinking = told('<think>', '4', '</think>', '\\n', '42', '<|im_end|>');
      const made = await json(whole('"content":"\\n42","reasoning":"4"', thinking), asks);
      assert.deepEqual([made.text, tokensOf(made)], ['\n42', ['\n', '42']]);
      const stopped = await json(whole('"content":"1, "', told('1', ',', ' 2', ',', ' 3')), asks);
      assert.deepEqual(tokensOf(stopped), ['1', ',', ' 2']);
      const other = await json(whole('"content":"1, "', told('1', '�')), asks);
      assert.deepEqual(tokensOf(other), ['1', '�'], 'where they do not spell it, all');
    });

    it('more than tokens were asked for are no answer', async () => {
      const other = openUpstreamModel(
        {
          id: 'up',
          urls: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
          model: 'made',
          maxOutputTokens: 9,
        },
        { log, clock: systemClock },
      );
      await other.load();
      said = { ...said, type: 'text/event-stream', body: ROLE + delta('', told('')).repeat(10) };
      await assert.rejects(answer(other, asks), { code: 'engine_failed' });
      assert.match(logged.join(), /more logprobs/);
      await other.close();
    });
  });

  it('what it does not keep to, `not` in a schema say, is told as that', async () => {
    const schema = { properties: { a: { not: { type: 'string' } } } };
    const responseFormat = { type: 'json_schema', name: 'x', schema } as const;
    await assert.rejects(json(whole('"content":"{\\"a\\": \\"b\\"}"'), { responseFormat }), (error) => {
      assert.ok(error instanceof Problem && error.code === 'engine_failed', String(error));
      assert.match(error.detail.message ?? '', /does not fit the schema/);
      return true;
    });
  });

  it('thinks under the name `reasoning`, and says how many tokens that took', async () => {
    const made = await json(whole('"content":"\\n42","reasoning":"First I look at it."'));
    const thought = made.events.map((event) => (event.type === 'delta' ? (event.thought ?? '') : '')).join('');
    assert.deepEqual([made.text, thought, made.usage.reasoningTokens], ['\n42', 'First I look at it.', 18]);
    const silent = await json(whole('"content":null,"reasoning":"First I look at it."'));
    assert.equal(silent.text, '');
  });
});
