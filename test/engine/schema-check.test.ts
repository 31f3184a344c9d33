import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitsSchema } from '#engine/grammar/schema-check.vm.ts';

describe('the last word on an answer', () => {
  it('says whether a text is what a schema asks for', () => {
    const schema = { type: 'object', properties: { a: { type: 'integer', minimum: 3 } }, required: ['a'] };
    assert.ok(fitsSchema('{"a": 3}', schema));
    for (const text of ['{"a": 2}', '{}', '[]', '{"a": 3', '', 'null']) assert.ok(!fitsSchema(text, schema), text);
    assert.ok(!fitsSchema('1', { $ref: '#/$defs/nowhere' }));
  });

  it('does not wait for what takes for ever', () => {
    const slow = { pattern: '^(a+)+$' };
    const began = performance.now();
    assert.ok(!fitsSchema(JSON.stringify(`${'a'.repeat(60)}!`), slow, 50));
    assert.ok(performance.now() - began < 5000);
    const twice = {
      anyOf: [{ properties: { n: { $ref: '#' } } }, { properties: { n: { $ref: '#' } }, required: ['x'] }],
    };
    const deep = `${'{"n":'.repeat(60)}1${'}'.repeat(60)}`;
    fitsSchema(deep, twice, 50);
    assert.ok(performance.now() - began < 5000);
    assert.ok(fitsSchema('"a"', slow), 'and goes on');
  });

  it('takes nothing that fits for unfit because the processor was busy with others', () => {
    // Some tens of milliseconds of work, a hundredth of which is the deadline by the wall.
    const items = Array.from({ length: 20_000 }, (_, at) => at);
    const schema = { type: 'array', items: { type: 'integer', minimum: 0 } };
    assert.ok(fitsSchema(JSON.stringify(items), schema, 1, () => 0));
    assert.ok(!fitsSchema(JSON.stringify([...items, 'x']), schema, 1, () => 0));
  });
});
