import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Template } from '@huggingface/jinja';
import fc from 'fast-check';
import type { ToolUse } from '#engine/engine.ts';
import { callGrammar } from '#engine/grammar/call-grammar.ts';
import { CallReader } from '#engine/grammar/call-reader.ts';
import { type CallSyntax, callSyntaxOf, triggerOf } from '#engine/grammar/call-syntax.ts';
import { LISTED, PARAMETERS, SHOWING, SINGLE, TAGGED } from '../fakes/tool-templates.ts';

const syntaxIn = (text: string): CallSyntax | null => {
  const template = new Template(text);
  return callSyntaxOf((input) => template.render({ ...input, bos_token: '', eos_token: '</s>' }));
};
const present = (syntax: CallSyntax | null): CallSyntax => syntax ?? assert.fail('no syntax');

describe('how a template writes calls', () => {
  it('is found by rendering made-up ones', () => {
    assert.deepEqual(syntaxIn(TAGGED), {
      opening: '<tool_call>\n{"name": "',
      middle: '", "arguments": ',
      between: '}\n</tool_call><tool_call>\n{"name": "',
      closing: '}\n</tool_call>',
      argumentsAs: 'object',
    });
    assert.deepEqual(syntaxIn(LISTED), {
      opening: '[TOOL_CALLS][{"name": "',
      middle: '", "arguments": ',
      between: '}, {"name": "',
      closing: '}]',
      argumentsAs: 'object',
    });
  });

  it('may write arguments one by one', () => {
    assert.deepEqual(syntaxIn(PARAMETERS), {
      opening: '<tool_call>\n<function=',
      middle: '',
      between: '>\n</function>\n</tool_call><tool_call>\n<function=',
      closing: '>\n</function>\n</tool_call>',
      argumentsAs: 'object',
      parameters: { opening: '>\n<parameter=', middle: '>\n', closing: '\n</parameter' },
    });
    // Two arguments are not written as one is: nobody could tell where each of them ends.
    assert.equal(syntaxIn(PARAMETERS.replace('</parameter>\n', '{{ loop.index }}')), null);
    assert.equal(syntaxIn(PARAMETERS.replace('</parameter>\n', '')), null);
  });

  it('may allow one call at a time, and want arguments as text', () => {
    const { between, argumentsAs, opening } = present(syntaxIn(SINGLE));
    assert.deepEqual([between, opening], [null, '{"name": "']);
    assert.ok(argumentsAs === 'text' || argumentsAs === 'object');
  });

  it('is none where functions are not shown, or calls are not written', () => {
    assert.equal(syntaxIn(SHOWING), null);
    assert.equal(syntaxIn(TAGGED.replace('{{ tool | tojson }}', 'something')), null);
    assert.equal(syntaxIn('{% for message in messages %}{{ message.content }}{% endfor %}'), null);
    assert.equal(syntaxIn('{{ raise_exception("no") }}'), null);
  });

  it('turns into a call at a text that nothing else begins with', () => {
    assert.equal(triggerOf(present(syntaxIn(TAGGED))), '<tool_call>');
    assert.equal(triggerOf(present(syntaxIn(SINGLE))), '{"name": "');
  });
});

describe('reading calls as they come', () => {
  const read = (syntax: CallSyntax, pieces: readonly string[]) => {
    let id = 0;
    const reader = new CallReader(
      syntax,
      () => `call_${++id}`,
      (_, key) => key === 'text',
    );
    let text = '';
    const calls: { id: string; name: string; arguments: string }[] = [];
    for (const piece of pieces) {
      const said = reader.push(piece);
      text += said.text;
      for (const { index, id, name, arguments: part } of said.calls) {
        calls[index] ??= { id: id ?? '', name: name ?? '', arguments: '' };
        calls[index].arguments += part;
      }
    }
    return { text: text + reader.end(), calls };
  };

  const cut = (text: string, at: readonly number[]) => {
    const places = [...new Set(at.map((one) => one % (text.length + 1)))].sort((a, b) => a - b);
    return [...places, text.length].map((to, i) => text.slice(places[i - 1] ?? 0, to));
  };

  it('finds text and calls wherever the pieces are cut', () => {
    for (const template of [TAGGED, LISTED, SINGLE]) {
      const syntax = present(syntaxIn(template));
      const values = ['{"a": "}\\"{"}', '{}', '{"b": {"c": [1, {"d": "]"}]}}'].slice(
        0,
        syntax.between === null ? 1 : 3,
      );
      const calls = values.map((value, i) => `f${i}${syntax.middle}${value}`).join(syntax.between ?? '');
      const whole = `Let me look.${syntax.opening}${calls}${syntax.closing}`;
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 12 }), (at) => {
          assert.deepEqual(read(syntax, cut(whole, at)), {
            text: 'Let me look.',
            calls: values.map((value, i) => ({ id: `call_${i + 1}`, name: `f${i}`, arguments: value })),
          });
        }),
        { numRuns: 200 },
      );
    }
  });

  it('finds arguments that are written one by one wherever the pieces are cut: texts as they are, the rest as JSON', () => {
    const syntax = present(syntaxIn(PARAMETERS));
    const one =
      'f>\n<parameter=text>\nsay "{}"\n</param>\n\n</parameter>\n<parameter=list>\n[1, {"a": "</p>"}]\n</parameter';
    const whole = `Let me look.${syntax.opening}${one}${syntax.between}g${syntax.between}h_2>\n<parameter=n>\n-1\n</parameter${syntax.closing}`;
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (at) => {
        const { text, calls } = read(syntax, cut(whole, at));
        assert.equal(text, 'Let me look.');
        assert.deepEqual(
          calls.map(({ name, arguments: values }) => [name, JSON.parse(values)]),
          [
            ['f', { text: 'say "{}"\n</param>\n', list: [1, { a: '</p>' }] }],
            ['g', {}],
            ['h_2', { n: -1 }],
          ],
        );
      }),
      { numRuns: 300 },
    );
    assert.throws(() => read(syntax, [`${syntax.opening}f and more of it than there may be`]));
  });

  it('gives text back that only looked like a call', () => {
    const syntax = present(syntaxIn(TAGGED));
    for (const text of ['a < b', 'see <tool', 'x\n\n', ' \n<tool_cal and', '<<tool_call', '']) {
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 8 }), (at) => {
          assert.deepEqual(read(syntax, cut(text, at)), { text, calls: [] });
        }),
      );
    }
  });

  it('fails for what no template has written', () => {
    const syntax = present(syntaxIn(TAGGED));
    assert.throws(() => read(syntax, ['<tool_call>\n{"call": 1']));
    assert.throws(() => read(syntax, [`${syntax.opening}f${syntax.middle}{} and more`]));
  });
});

describe('the grammar of calls', () => {
  const functions = [
    { name: 'now' },
    { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
  ];
  const use = (change: Partial<ToolUse> = {}): ToolUse => ({ functions, choice: 'auto', parallel: true, ...change });

  it('names the function and the keyword to which no model can be held', () => {
    const bad = [{ name: 'a' }, { name: 'b', parameters: { type: 'object', propertyNames: {} } }];
    assert.throws(() => callGrammar(present(syntaxIn(TAGGED)), use({ functions: bad }), { type: 'text' }), {
      code: 'invalid_parameter',
      detail: {
        message: "The schema keyword 'propertyNames' is not supported.",
        param: 'tools[1].function.parameters',
      },
    });
  });

  it('refuses what can not be told apart where arguments are written one by one', () => {
    const syntax = present(syntaxIn(PARAMETERS));
    const grammar = (value: unknown, change: object = {}) => {
      const parameters = { type: 'object', properties: { a: value }, ...change };
      return callGrammar(syntax, use({ functions: [{ name: 'f', parameters }] }), { type: 'text' });
    };
    for (const fine of [
      { type: 'string', description: 'x' },
      { type: 'string', enum: ['x', 'y'] },
      { const: 'x' },
      { enum: [1, null] },
      { type: 'array', items: { type: 'string', maxLength: 3 } },
      { $ref: '#/$defs/n', type: 'integer' },
    ])
      assert.ok(grammar(fine, { $defs: { n: { type: 'integer' } } }).includes('parameter=a'), JSON.stringify(fine));
    for (const bad of [
      { type: ['string', 'null'] },
      { type: 'string', pattern: 'x' },
      { type: 'string', maxLength: 3 },
      { enum: ['x', 1] },
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
      { const: 'x\n</parameter>' },
      {},
      true,
    ])
      assert.throws(() => grammar(bad), { code: 'invalid_parameter' }, JSON.stringify(bad));
    assert.throws(() => grammar({ type: 'string' }, { required: ['b'] }), /names no property/);
    assert.throws(() => grammar({ type: 'string' }, { minProperties: 1 }), /'minProperties' is not supported/);
  });

  it('holds a named choice to that function alone, once', () => {
    const grammar = callGrammar(present(syntaxIn(TAGGED)), use({ choice: { name: 'now' } }), { type: 'text' });
    assert.ok(!grammar.includes('weather') && !grammar.includes('{0,15}'));
    assert.ok(callGrammar(present(syntaxIn(TAGGED)), use(), { type: 'text' }).includes('{0,15}'));
    assert.ok(!callGrammar(present(syntaxIn(TAGGED)), use({ parallel: false }), { type: 'text' }).includes('{0,15}'));
    assert.ok(!callGrammar(present(syntaxIn(SINGLE)), use(), { type: 'text' }).includes('{0,15}'));
  });
});
