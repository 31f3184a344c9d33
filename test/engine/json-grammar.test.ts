import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { grammarFor } from '#engine/grammar/json-grammar.ts';
import { Problem } from '#kernel/problem.ts';

const grammarOf = (schema: Record<string, unknown>) => grammarFor({ type: 'json_schema', name: 'x', schema });

const refuses = (schema: Record<string, unknown>, keyword: string) =>
  assert.throws(
    () => grammarOf(schema),
    (error: unknown) => {
      assert.ok(error instanceof Problem, String(error));
      assert.equal(error.code, 'invalid_parameter');
      assert.ok(error.message.includes(`'${keyword}'`), error.message);
      return true;
    },
  );

describe('grammarFor', () => {
  it('is null for text and an object for json_object', () => {
    assert.equal(grammarFor({ type: 'text' }), null);
    assert.match(grammarFor({ type: 'json_object' }) ?? '', /^root ::= r1\n/);
  });

  it('writes required and optional members in declared order', () => {
    const grammar = grammarOf({
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'boolean' } },
      required: ['b'],
      additionalProperties: false,
    });
    assert.ok(grammar?.includes(String.raw`"\"a\"" ":" ws`));
  });

  for (const keyword of [
    'not',
    'if',
    'propertyNames',
    'patternProperties',
    'uniqueItems',
    'prefixItems',
    'constructor',
  ]) {
    it(`refuses ${keyword} by name, at any depth`, () => {
      refuses({ type: 'string', [keyword]: 'x' }, keyword);
      refuses({ type: 'object', properties: { p: { type: 'array', items: { [keyword]: [] } } } }, keyword);
    });
  }

  it('refuses a name of its own within a schema, which would change what references mean', () => {
    assert.ok(grammarOf({ $id: 'https://bank.example/x', type: 'string' }));
    refuses({ properties: { a: { $id: 'https://bank.example/a', type: 'string' } } }, '$id');
  });

  it('joins what allOf and a reference with others demand, where that can be said', () => {
    const grammar = grammarOf({
      allOf: [
        { properties: { a: { type: 'integer', minimum: 0 }, b: { type: 'string' } }, required: ['a'] },
        { $ref: '#/$defs/more' },
      ],
      $defs: { more: { properties: { a: { maximum: 9 } }, required: ['a'], additionalProperties: { type: 'string' } } },
    });
    assert.ok(grammar?.includes(String.raw`"\"a\"" ":" ws`.replaceAll('\\\\', '\\')) ?? false, grammar ?? '');
    assert.ok(grammar?.includes('[0-9]{1}'));
    refuses({ allOf: [{ type: 'string' }, { type: 'integer' }] }, 'allOf');
    refuses({ allOf: [{ type: 'string', pattern: 'a' }, { pattern: 'b' }] }, 'pattern');
    refuses({ $ref: '#/$defs/a', minLength: 1, $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } } }, 'allOf');
  });

  it('takes oneOf where no value can meet two of them', () => {
    const shape = (kind: string) => ({ properties: { kind: { const: kind } }, required: ['kind'] });
    assert.ok(grammarOf({ oneOf: [{ type: 'string' }, { type: 'null' }] }));
    assert.ok(grammarOf({ oneOf: [shape('a'), shape('b')] }));
    refuses({ oneOf: [shape('a'), shape('a')] }, 'oneOf');
    refuses({ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf');
  });

  it('refuses alternatives that would have to be read all at once, within others or for ever', () => {
    const strings = Array.from({ length: 30 }, (_, i) => ({ type: 'string', maxLength: i + 1 }));
    assert.ok(grammarOf({ anyOf: strings }));
    refuses({ anyOf: strings.map((one) => ({ type: 'array', items: { anyOf: [one, ...strings] } })) }, 'anyOf');
    refuses({ anyOf: strings.map((_, i) => ({ enum: Array.from({ length: 100 }, (_, k) => `${i} ${k}`) })) }, 'enum');
    const node = { type: 'object', properties: { next: { $ref: '#/$defs/node' } } };
    const twice = { anyOf: [node, { ...node, required: ['next'] }] };
    refuses({ $ref: '#/$defs/node', $defs: { node: twice } }, 'anyOf');
  });

  it('refuses what it can not afford', () => {
    refuses({ type: 'string', minLength: 5000 }, 'minLength');
    refuses({ type: 'string', minLength: 3, maxLength: 2 }, 'maxLength');
    refuses({ type: 'array', items: {}, minItems: 1000 }, 'minItems');
    refuses({ enum: Array.from({ length: 1000 }, (_, i) => i) }, 'enum');
    refuses({ enum: ['a'], type: 'integer' }, 'enum');
    refuses({ type: 'text' }, 'type');
    refuses(
      { type: 'object', properties: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`p${i}`, {}])) },
      'properties',
    );
    let deep: Record<string, unknown> = { type: 'string' };
    for (let i = 0; i < 100_000; i++) deep = { type: 'array', items: deep };
    refuses(deep, 'properties');
    const names = Array.from({ length: 20 }, (_, i) => `p${i}`);
    const long = Object.fromEntries(names.map((name) => [name, { type: 'string', maxLength: 1000 }]));
    refuses({ type: 'object', properties: long }, 'maxLength');
  });

  it('follows references, also in circles through an object, and refuses those that lead nowhere', () => {
    const node = { type: 'object', properties: { next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } } };
    assert.ok(grammarOf({ $ref: '#/$defs/node', $defs: { node } }));
    assert.ok(grammarOf({ type: 'object', properties: { child: { $ref: '#' } } }));
    refuses({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }, '$ref');
    refuses({ $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { $ref: '#/$defs/a' } } }, '$ref');
    refuses({ $ref: '#/$defs/toString', $defs: {} }, '$ref');
    refuses({ $ref: 'https://example.org/schema' }, '$ref');
  });
});
