import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EmbeddingsRequest } from '#embeddings/embeddings.contract.ts';
import { tokensToReserve } from '#embeddings/embeddings.ts';
import { normalised } from '#embeddings/vector.ts';
import { vectorOf, vectorText } from '#engine/vector-text.ts';
import { Problem } from '#kernel/problem.ts';

const floats = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 1, maxLength: 64 });

describe('vectors', () => {
  it('have length 1, whatever length they came with', () => {
    fc.assert(
      fc.property(floats, (values) => {
        fc.pre(values.some((value) => Math.abs(value) > 1e-3));
        const vector = normalised(Float32Array.from(values));
        assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
        const at = values.findIndex((value) => Math.abs(value) > 1e-3);
        assert.equal(Math.sign(vector[at] ?? 0), Math.sign(values[at] ?? 0));
      }),
    );
  });

  it('that point nowhere, or are no numbers, are a failure of the model', () => {
    for (const values of [[0, 0], [Number.NaN, 1], [Number.POSITIVE_INFINITY, 1], []])
      assert.throws(
        () => normalised(Float32Array.from(values)),
        (error) => error instanceof Problem && error.code === 'engine_failed',
      );
  });

  it('are spelled as OpenAI’s base64 has it: 32-bit floats, least byte first', () => {
    assert.equal(vectorText(Float32Array.of(1, -2)), Buffer.from('0000803f000000c0', 'hex').toString('base64'));
    fc.assert(
      fc.property(floats, (values) => {
        const vector = Float32Array.from(values);
        assert.deepEqual(vectorOf({ index: 3, values: vectorText(vector) }), {
          type: 'vector',
          index: 3,
          values: vector,
        });
      }),
    );
  });
});

describe('a request for vectors', () => {
  it('reserves an estimate of its texts, of another server’s a token for each byte', () => {
    assert.deepEqual(tokensToReserve(['x'.repeat(40), '你好'], 'llama'), { tokens: 12 + 4, least: 16 });
    assert.deepEqual(tokensToReserve(['x'.repeat(40), '你好'], 'upstream'), { tokens: 42 + 8, least: 50 });
  });

  it('refuses by its name what is not served', () => {
    const asked = (change: object) => EmbeddingsRequest.safeParse({ model: 'm', input: 'x', ...change });
    assert.deepEqual(asked({ dimensions: 256 }).error?.issues[0]?.path, ['dimensions']);
    assert.deepEqual(asked({ encoding_format: 'int8' }).error?.issues[0]?.path, ['encoding_format']);
    assert.ok(asked({ dimensions: null, encoding_format: null, user: 'x' }).success);
    for (const input of ['', [], ['a', ''], Array(257).fill('a'), [1, 2], [[1]], null])
      assert.equal(asked({ input }).success, false, JSON.stringify(input).slice(0, 40));
  });
});
