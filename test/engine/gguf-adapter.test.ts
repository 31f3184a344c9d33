import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { checkAdapter } from '#engine/gguf/gguf-adapter.ts';
import { readGguf } from '#engine/gguf/gguf-entries.ts';
import { GgufFault } from '#engine/gguf/gguf-figures.ts';
import { checkGguf, type GgufFacts } from '#engine/gguf/gguf-header.ts';
import { GGUF_LIMITS } from '#engine/gguf/gguf-reader.ts';
import { type MetadataValue, type Tensor, gguf as writeGguf } from '../../models/demo/gguf-writer.ts';
import { mutations } from '../fakes/gguf-mutations.ts';

const at = (name: string) => new URL(`../../models/demo/${name}.gguf`, import.meta.url);
const readAt = (bytes: Buffer) => async (offset: number, length: number) => bytes.subarray(offset, offset + length);

const METADATA: Readonly<Record<string, MetadataValue>> = {
  'general.type': { type: 'string', value: 'adapter' },
  'general.architecture': { type: 'string', value: 'llama' },
  'adapter.type': { type: 'string', value: 'lora' },
  'adapter.lora.alpha': { type: 'f32', value: 32 },
};

const tensor = (name: string, ...shape: number[]): Tensor => ({
  name,
  shape,
  type: 'f32',
  values: new Float32Array(shape.reduce((product, length) => product * length, 1)),
});

const PAIR = [tensor('blk.0.attn_q.weight.lora_a', 256, 8), tensor('blk.0.attn_q.weight.lora_b', 8, 256)];

describe('checkAdapter', () => {
  let base: GgufFacts;
  let demo: Buffer;
  before(async () => {
    demo = await readFile(at('demo'));
    base = await checkGguf(readAt(demo), demo.length);
  });

  const check = async (bytes: Buffer) => checkAdapter(await readGguf(readAt(bytes), bytes.length, GGUF_LIMITS), base);
  const made = (tensors: readonly Tensor[], change: Readonly<Record<string, MetadataValue | undefined>> = {}) => {
    const entries = Object.entries({ ...METADATA, ...change });
    const metadata = entries.filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined);
    return writeGguf(new Map(metadata), tensors);
  };

  it('takes the one that belongs to the model, and a small one that fits it', async () => {
    const letters = await readFile(at('formal-letters'));
    const bytes = await check(letters);
    assert.ok(bytes > letters.length / 2 && bytes < letters.length);
    assert.equal(await check(made(PAIR)), 2 * 256 * 8 * 4);
  });

  const text = (value: string): MetadataValue => ({ type: 'string', value });
  const REFUSED: Readonly<Record<string, readonly [RegExp, () => Buffer]>> = {
    'a model': [/not an adapter/, () => demo],
    'no type': [/not an adapter/, () => made(PAIR, { 'general.type': undefined })],
    // llama.cpp asserts that it is a text.
    'a number for its type': [/not an adapter/, () => made(PAIR, { 'general.type': { type: 'u32', value: 1 } })],
    'another kind of adapter': [/adapter.type/, () => made(PAIR, { 'adapter.type': text('control_vector') })],
    'another architecture': [/for qwen3/, () => made(PAIR, { 'general.architecture': text('qwen3') })],
    // llama.cpp asserts that it is a float.
    'a whole number for alpha': [/alpha/, () => made(PAIR, { 'adapter.lora.alpha': { type: 'u32', value: 32 } })],
    'NaN for alpha': [/alpha/, () => made(PAIR, { 'adapter.lora.alpha': { type: 'f32', value: Number.NaN } })],
    'no alpha': [/alpha/, () => made(PAIR, { 'adapter.lora.alpha': undefined })],
    'one that waits for a word': [
      /alora/,
      () => made(PAIR, { 'adapter.alora.invocation_tokens': { type: 'i32s', value: [1] } }),
    ],
    'half of a pair': [/half of a pair/, () => made(PAIR.slice(0, 1))],
    'a matrix that the model has not': [
      /the model has none/,
      () => made([tensor('blk.9.attn_q.weight.lora_a', 256, 8), tensor('blk.9.attn_q.weight.lora_b', 8, 256)]),
    ],
    'a matrix of another width': [
      /do not fit/,
      () => made([tensor('blk.0.attn_k.weight.lora_a', 256, 8), tensor('blk.0.attn_k.weight.lora_b', 8, 256)]),
    ],
    'two ranks': [
      /do not fit/,
      () => made([tensor('blk.0.attn_q.weight.lora_a', 256, 8), tensor('blk.0.attn_q.weight.lora_b', 16, 256)]),
    ],
    'a vector': [
      /do not fit/,
      () => made([tensor('blk.0.attn_norm.weight.lora_a', 256), tensor('blk.0.attn_norm.weight.lora_b', 256)]),
    ],
    'experts where the model has none': [
      /do not fit/,
      () => made([tensor('blk.0.attn_q.weight.lora_a', 256, 8, 2), tensor('blk.0.attn_q.weight.lora_b', 8, 256, 2)]),
    ],
    // The same matrix makes the scores here: llama.cpp would multiply with it and assert.
    'embeddings that also make scores': [
      /do not fit/,
      () => made([tensor('token_embd.weight.lora_a', 8, 3072), tensor('token_embd.weight.lora_b', 8, 256)]),
    ],
    'something else beside': [/no part of an adapter/, () => made([...PAIR, tensor('blk.0.attn_norm.weight', 256)])],
  };
  for (const [name, [message, bytes]] of Object.entries(REFUSED))
    it(`refuses ${name}`, () =>
      assert.rejects(check(bytes()), (error: Error) => error instanceof GgufFault && message.test(error.message)));

  it('a spoilt one is refused or fits, never anything else', async () => {
    const letters = await readFile(at('formal-letters'));
    let refused = 0;
    for (const { bytes } of mutations(letters, 6000, 7, 400))
      await check(bytes).catch((error: unknown) => {
        if (!(error instanceof GgufFault)) throw error;
        refused++;
      });
    assert.ok(refused > 200, `${refused}`);
  });
});
