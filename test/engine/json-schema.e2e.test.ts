import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Validator } from '@cfworker/json-schema';
import fc from 'fast-check';
import { grammarFor } from '#engine/grammar/json-grammar.ts';
import type { LlamaEngine } from '#engine/llama/port.llama.ts';
import { Problem } from '#kernel/problem.ts';
import { answer, demoSpec, openLlama } from './demo.ts';

type Schema = Record<string, unknown>;

/** Schemas as people write them, good ones and bad ones. */
const { schema } = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant<Schema>({ type: 'null' }),
    fc.constant<Schema>({ type: 'boolean' }),
    fc.record({
      type: fc.constant('integer'),
      minimum: fc.integer({ min: -300, max: 5 }),
      maximum: fc.integer({ min: 0, max: 900 }),
    }),
    fc.record({
      type: fc.constant('number'),
      exclusiveMinimum: fc.integer({ min: -9, max: 0 }),
      maximum: fc.constantFrom(0.5, 1, 2.25),
    }),
    fc.record({ type: fc.constant('string'), minLength: fc.nat(3), maxLength: fc.nat(6) }),
    fc.record({
      type: fc.constant('string'),
      pattern: fc.constantFrom('^[A-Z]{2}[0-9]{1,3}$', '^(yes|no)$', '^x+$', '^(a+)+$', '['),
    }),
    fc.record({
      type: fc.constant('string'),
      format: fc.constantFrom('date', 'date-time', 'uuid', 'ipv4', 'email', 'uri', 'ipv6'),
    }),
    fc.record({
      enum: fc.array(fc.oneof(fc.string({ maxLength: 4 }), fc.integer(), fc.constant(null)), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
    fc.record({ type: fc.constant('array'), items: tie('schema'), minItems: fc.nat(2), maxItems: fc.nat(3) }),
    fc.record({
      type: fc.constant('object'),
      properties: fc.dictionary(fc.string({ minLength: 1, maxLength: 3 }), tie('schema'), { maxKeys: 3 }),
      required: fc.constantFrom<string[]>([], ['a'], ['b"']),
      additionalProperties: fc.boolean(),
    }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.constant<Schema>({ type: 'object', properties: { n: { $ref: '#' } } }),
  ) as fc.Arbitrary<Schema>,
}));

const format = (value: Schema) => ({ type: 'json_schema' as const, name: 'x', schema: value });
const grammarOrNull = (value: Schema): string | null => {
  try {
    return grammarFor(format(value));
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    assert.equal(error.code, 'invalid_parameter');
    assert.match(error.message, /schema/);
    return null;
  }
};

describe('any schema', () => {
  it('becomes a grammar of bounded size, or is refused', () => {
    fc.assert(
      fc.property(fc.oneof(schema, fc.object() as fc.Arbitrary<Schema>), (value) => {
        assert.ok((grammarOrNull(value)?.length ?? 0) <= 262_144);
      }),
      { numRuns: 1500 },
    );
  });

  describe('that becomes one', () => {
    let engine: LlamaEngine;
    before(async () => {
      engine = openLlama(await demoSpec({ parallel: 4 }));
      await engine.load();
    });
    after(() => engine.close());

    it('is kept to by the model, whatever it would rather say, and kills nobody', async () => {
      let [made, whole] = [0, 0];
      await fc.assert(
        fc.asyncProperty(schema, fc.nat(1e6), async (value, seed) => {
          if (grammarOrNull(value) === null) return;
          made++;
          const { text, reason } = await answer(engine, {
            responseFormat: format(value),
            temperature: 2,
            topP: 1,
            seed,
            maxTokens: 160,
          });
          if (reason !== 'stop') return;
          whole++;
          const { valid, errors } = new Validator(value, '2020-12').validate(JSON.parse(text));
          assert.ok(valid, `${text} for ${JSON.stringify(value)}: ${JSON.stringify(errors[0])}`);
        }),
        // At this temperature a model of 4 million weights spells now and then what is no UTF-8, and its answer is refused.
        { numRuns: 120, seed: 11 },
      );
      assert.ok(made >= 40 && whole >= 20, `${made} made, ${whole} whole`);
      assert.equal(engine.status().restarts, 0);
    });
  });
});
