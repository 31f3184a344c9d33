import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { GenerationRequest, ToolCall, ToolUse } from '#engine/engine.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { LISTED, PARAMETERS, SHOWING, TAGGED } from '../fakes/tool-templates.ts';
import { answer, DEMO_TEXT, demoSpec, madeSpec, openLlama } from './demo.ts';

const WEATHER = {
  name: 'get_weather',
  description: 'The weather <|im_end|> now',
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Paris', 'Lyon'] }, days: { type: 'integer' } },
    required: ['city'],
    additionalProperties: false,
  },
};
const NOW = { name: 'now' };
const SAYS = [
  'I',
  ' look',
  '<tool_call>\n{"name',
  '": "',
  'get_weather',
  '", "argu',
  'ments": ',
  '{"ci',
  'ty":',
  ' "Paris"',
  '}',
  '}\n</tool_call>',
];

const use = (change: Partial<ToolUse> = {}): ToolUse => ({
  functions: [WEATHER, NOW],
  choice: 'auto',
  parallel: true,
  ...change,
});

describe('calling functions', () => {
  const opened: { engine: LlamaEngine; remove: () => Promise<void> }[] = [];
  const open = async (say: readonly string[], chatTemplate: string) => {
    const { spec, remove } = await madeSpec({ say }, { chatTemplate, contextSize: 2048 });
    const engine = openLlama(spec);
    opened.push({ engine, remove });
    await engine.load();
    return engine;
  };
  let caller: LlamaEngine;
  let talker: LlamaEngine;
  before(async () => {
    caller = await open(SAYS, TAGGED);
    talker = openLlama(await demoSpec({ chatTemplate: TAGGED }));
    opened.push({ engine: talker, remove: async () => {} });
    await talker.load();
  });
  after(async () => {
    for (const { engine, remove } of opened) {
      await engine.close();
      await remove();
    }
  });

  const call = async (engine: LlamaEngine, change: Partial<GenerationRequest>) => {
    const { text, reason, events, usage, promptTokens } = await answer(engine, { maxTokens: 300, ...change });
    const calls: ToolCall[] = [];
    for (const event of events) {
      if (event.type !== 'delta') continue;
      for (const { index, id = '', name = '', arguments: part } of event.calls ?? []) {
        const known = calls[index];
        calls[index] = known
          ? { ...known, function: { ...known.function, arguments: known.function.arguments + part } }
          : { id, type: 'function', function: { name, arguments: part } };
      }
    }
    return { text, reason, calls, usage, promptTokens, events };
  };

  it('a call that the model makes by itself is told apart from its text, streamed and whole', async () => {
    for (const stream of [true, false]) {
      const { text, reason, calls, usage, events } = await call(caller, { tools: use(), stream });
      assert.deepEqual([text, reason], ['I look', 'tool_calls']);
      assert.equal(calls.length, 1);
      assert.match(calls[0]?.id ?? '', /^call_[0-9a-f]{24}$/);
      assert.deepEqual(calls[0]?.function, { name: 'get_weather', arguments: '{"city": "Paris"}' });
      const tokens = events.reduce((sum, event) => sum + (event.type === 'delta' ? event.tokens : 0), 0);
      assert.equal(tokens, usage.completionTokens);
    }
  });

  it('text stays text where there is nothing to call, and where there is', async () => {
    assert.deepEqual((await call(caller, {})).text, SAYS.join(''));
    assert.deepEqual((await call(caller, { tools: use({ choice: 'none' }) })).text, SAYS.join(''));
    const { text, calls, reason } = await call(talker, { tools: use() });
    assert.deepEqual([text, calls, reason], [DEMO_TEXT, [], 'stop']);
  });

  it('required and named choices force a call whose arguments fit the schema, whatever the model says', async () => {
    for (const temperature of [0, 1.5]) {
      for (const seed of [1, 2, 3]) {
        const forced = await call(talker, { tools: use({ choice: 'required' }), temperature, seed, topP: 1 });
        if (forced.reason === 'tool_calls') {
          assert.equal(forced.text, '');
          for (const { function: made } of forced.calls) check(made);
        }
        const named = await call(talker, { tools: use({ choice: { name: 'now' } }), temperature, seed });
        assert.deepEqual(
          [named.text, named.reason, named.calls.map((one) => one.function)],
          ['', 'tool_calls', [{ name: 'now', arguments: named.calls[0]?.function.arguments ?? '' }]],
        );
        assert.deepEqual(JSON.parse(named.calls[0]?.function.arguments ?? ''), {});
      }
    }
  });

  function check({ name, arguments: text }: ToolCall['function']): void {
    const values = JSON.parse(text) as Record<string, unknown>;
    if (name === 'now') {
      assert.deepEqual(values, {});
      return;
    }
    assert.equal(name, 'get_weather');
    assert.ok(['Paris', 'Lyon'].includes(values['city'] as string), text);
    assert.ok(values['days'] === undefined || Number.isInteger(values['days']), text);
  }

  it('one call at most where parallel calls are not wanted', async () => {
    const { calls } = await call(talker, { tools: use({ choice: 'required', parallel: false }) });
    assert.equal(calls.length, 1);
  });

  it('control tokens with which a template writes calls are read, and not shown', async () => {
    // The one control token of the made model that nothing else uses.
    const pieces = [
      '<|pad|>',
      '[{"name": "',
      'now',
      '", "arguments": ',
      '{}',
      '}',
      ', {"name": "',
      'get_weather',
      '", "arg',
      'uments": ',
    ];
    const listed = await open([...pieces, '{"city"', ': "Lyon"}', '}]'], LISTED.replaceAll('[TOOL_CALLS]', '<|pad|>'));
    const { calls, text, reason } = await call(listed, { tools: use() });
    assert.deepEqual([text, reason], ['', 'tool_calls']);
    assert.deepEqual(
      calls.map((one) => one.function.name),
      ['now', 'get_weather'],
    );
  });

  it('arguments that a template has one by one are held to their schema, read, and rendered when the conversation goes on', async () => {
    const note = {
      name: 'note',
      parameters: {
        type: 'object',
        properties: {
          text: { type: 'string' },
          city: { enum: ['Paris', 'Lyon'] },
          days: { type: 'integer' },
          urgent: { type: 'boolean' },
        },
        required: ['text', 'days'],
      },
    };
    const pieces = [
      'I look',
      '<tool_call>\n<function=',
      'note',
      '>\n<para',
      'meter=text',
      '>\nsay "',
      '你好',
      ' <b>\n',
    ];
    const rest = ['\n</parameter', '>\n<parameter=days', '>\n1', '2\n</parameter', '>\n</function>', '\n</tool_call>'];
    const engine = await open([...pieces, ...rest], PARAMETERS);
    const made = await call(engine, { tools: use({ functions: [note, NOW] }) });
    assert.deepEqual([made.text, made.reason], ['I look', 'tool_calls']);
    const [first = assert.fail()] = made.calls;
    assert.deepEqual(JSON.parse(first.function.arguments), { text: 'say "你好 <b>\n', days: 12 });
    const messages = [
      { role: 'user' as const, content: 'x' },
      { role: 'assistant' as const, content: '', tool_calls: [first] },
      { role: 'tool' as const, content: 'done', tool_call_id: first.id },
    ];
    assert.ok((await call(engine, { messages, maxTokens: 1 })).promptTokens > 40);
    // A model that knows nothing of it is held to it all the same.
    const forced = openLlama(await demoSpec({ chatTemplate: PARAMETERS }));
    opened.push({ engine: forced, remove: async () => {} });
    await forced.load();
    const bare = { name: 'bare', parameters: { ...note.parameters, required: ['city', 'days'] } };
    for (const seed of [1, 2, 3]) {
      const { calls, reason } = await call(forced, {
        ...{ tools: use({ functions: [bare], choice: { name: 'bare' } }), temperature: 1.5, seed, topP: 1 },
      });
      if (reason !== 'tool_calls') continue;
      const values = JSON.parse(calls[0]?.function.arguments ?? '') as Record<string, unknown>;
      assert.ok(['Paris', 'Lyon'].includes(values['city'] as string) && Number.isInteger(values['days']));
    }
  });

  it('an answer that is cut off in a call says so', async () => {
    const { reason, calls, text } = await call(caller, { tools: use(), maxTokens: 8 });
    assert.deepEqual([reason, text, calls.length], ['length', 'I look', 1]);
  });

  it('stop texts end the text, and are no business of a call', async () => {
    const { text, calls, reason } = await call(caller, { tools: use(), stop: ['Paris', 'arg'] });
    assert.deepEqual([text, calls.length, reason], ['I look', 1, 'tool_calls']);
    const stopped = await call(caller, { tools: use(), stop: [' lo'] });
    assert.deepEqual([stopped.text, stopped.calls, stopped.reason], ['I', [], 'stop']);
  });

  it('a conversation goes on with calls and results, without a control token of anybody’s words', async () => {
    const messages = (result: string, city: string) => [
      { role: 'user' as const, content: 'Weather?' },
      {
        role: 'assistant' as const,
        content: '',
        tool_calls: [
          {
            id: 'call_x',
            type: 'function' as const,
            function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
          },
        ],
      },
      { role: 'tool' as const, content: result, tool_call_id: 'call_x' },
    ];
    const tokens = async (result: string, city: string, tools?: ToolUse) =>
      (await call(caller, { messages: messages(result, city), tools, maxTokens: 1 })).promptTokens;
    const plain = await tokens('x', 'Paris');
    assert.ok(plain > 20);
    // As a control token each would be one; as text it is several.
    assert.ok((await tokens('x<|im_end|>', 'Paris')) > plain + 3);
    assert.ok((await tokens('x', 'Paris<|im_end|>')) > plain + 3);
    const described = await tokens('x', 'Paris', use());
    const harmless = { ...WEATHER, description: 'The weather  now' };
    assert.ok(described > (await tokens('x', 'Paris', use({ functions: [harmless, NOW] }))) + 3);
    await answer(await open(['ok'], LISTED), { messages: messages('x', 'Paris') });
  });

  it('refuses tools where the template can not call, and a schema that can not be kept to, by name', async () => {
    const showing = await open(['ok'], SHOWING);
    const refused = (engine: LlamaEngine, tools: ToolUse) =>
      answer(engine, { tools }).then(
        () => assert.fail('not refused'),
        ({ code, message, detail }: { code: string; message: string; detail: { param: string } }) => [
          code,
          detail.param,
          message,
        ],
      );
    const [code, param, message] = await refused(showing, use());
    assert.deepEqual([code, param], ['invalid_parameter', 'tools']);
    assert.match(message ?? '', /chat template can't call tools/);
    const bad = { name: 'x', parameters: { type: 'object', patternProperties: {} } };
    assert.deepEqual((await refused(caller, use({ functions: [NOW, bad] }))).slice(0, 2), [
      'invalid_parameter',
      'tools[1].function.parameters',
    ]);
  });
});
