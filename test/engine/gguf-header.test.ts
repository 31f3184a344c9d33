import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { GgufFault } from '#engine/gguf/gguf-figures.ts';
import { checkGguf } from '#engine/gguf/gguf-header.ts';
import { GGUF_LIMITS } from '#engine/gguf/gguf-reader.ts';
import { recurrentModel } from '../fakes/state-models.ts';
import { DEMO_FILE } from './demo.ts';

const check = (bytes: Buffer, limits = GGUF_LIMITS) =>
  checkGguf(async (offset, length) => bytes.subarray(offset, offset + length), bytes.length, limits);

describe('checkGguf', () => {
  let demo: Buffer;
  before(async () => {
    demo = await readFile(DEMO_FILE);
  });

  /** The demo model with eight bytes changed behind a text in its header. */
  const changed = (after: string, skip: number, value: bigint): Buffer => {
    const bytes = Buffer.from(demo);
    bytes.writeBigUInt64LE(value, bytes.indexOf(after) + after.length + skip);
    return bytes;
  };

  it('accepts a sound file and says what it found', async () => {
    const { architecture, figures, vocabulary, tensorBytes, chatTemplate } = await check(demo);
    assert.equal(architecture, 'llama');
    assert.deepEqual(figures.get('attention.head_count_kv'), [2]);
    assert.equal(vocabulary, 1024);
    assert.ok(tensorBytes > demo.length / 2 && tensorBytes < demo.length);
    assert.match(chatTemplate ?? '', /im_start/);
  });

  it('accepts models without attention, whose files say 0 heads; of others that is a fault', async () => {
    const { architecture, figures } = await check(recurrentModel());
    assert.deepEqual([architecture, figures.get('attention.head_count')], ['mamba', [0]]);
    const bytes = recurrentModel();
    bytes.writeUInt32LE(0, bytes.indexOf('mamba.ssm.state_size') + 'mamba.ssm.state_size'.length + 4);
    await assert.rejects(check(bytes), /ssm.state_size: 0/);
  });

  it('refuses a header that is cut off, wherever', async () => {
    const end = demo.indexOf('blk.0.ffn_down.weight');
    for (let length = 0; length < end; length += 97) await assert.rejects(check(demo.subarray(0, length)), GgufFault);
  });

  it('refuses what is not GGUF, and versions it does not know', async () => {
    await assert.rejects(check(Buffer.from('PK\u0003\u0004 something else entirely')), /not a GGUF/);
    const bytes = Buffer.from(demo);
    bytes.writeUInt32LE(99, 4);
    await assert.rejects(check(bytes), /version 99/);
  });

  it('takes no count and no length at its word', async () => {
    await assert.rejects(check(changed('GGUF', 4, 2n ** 63n)), /tensors/);
    await assert.rejects(check(changed('GGUF', 12, 2n ** 40n)), /metadata entries/);
    await assert.rejects(check(changed('tokenizer.ggml.tokens', 8, 2n ** 31n)), /tokenizer.ggml.tokens/);
    await assert.rejects(check(changed('tokenizer.ggml.tokens', 16, 3n * 2n ** 30n)), /tokenizer.ggml.tokens/);
    await assert.rejects(check(changed('general.name', 4, 2n ** 33n)), /general.name/);
    await assert.rejects(check(demo, { ...GGUF_LIMITS, headerBytes: 1000 }), /too long/);
  });

  it('refuses arrays of arrays and unknown types', async () => {
    const bytes = Buffer.from(demo);
    const at = bytes.indexOf('tokenizer.ggml.merges') + 'tokenizer.ggml.merges'.length;
    bytes.writeUInt32LE(9, at + 4);
    await assert.rejects(check(bytes), /array of type 9/);
    bytes.writeUInt32LE(77, at);
    await assert.rejects(check(bytes), /unknown type 77/);
  });

  it('refuses figures on which llama.cpp would abort', async () => {
    const withFigure = (key: string, value: number) => {
      const bytes = Buffer.from(demo);
      bytes.writeUInt32LE(value, bytes.indexOf(key) + key.length + 4);
      return bytes;
    };
    for (const value of [0, 100_000, 0xffffffff])
      await assert.rejects(check(withFigure('llama.block_count', value)), /block_count/);
    for (const key of ['llama.attention.head_count', 'llama.attention.head_count_kv', 'llama.feed_forward_length']) {
      await assert.rejects(check(withFigure(key, 0)), GgufFault);
    }
  });

  it('refuses what is left out, what is no number, and what stands there twice', async () => {
    for (const key of ['llama.attention.head_count', 'llama.feed_forward_length', 'llama.block_count']) {
      const bytes = Buffer.from(demo);
      bytes.write('x', bytes.indexOf(key));
      await assert.rejects(check(bytes), /missing/, key);
    }
    const epsilon = 'llama.attention.layer_norm_rms_epsilon';
    for (const value of [Number.NaN, -1e-5, Number.POSITIVE_INFINITY]) {
      const bytes = Buffer.from(demo);
      bytes.writeFloatLE(value, bytes.indexOf(epsilon) + epsilon.length + 4);
      await assert.rejects(check(bytes), /epsilon/);
    }
    const twice = Buffer.from(demo);
    twice.write('tokenizer.ggml.eos_token_id', twice.indexOf('tokenizer.ggml.bos_token_id'));
    await assert.rejects(check(twice), /twice/);
    const foreign = Buffer.from(demo);
    const at = foreign.indexOf('tokenizer.ggml.eos_token_id') + 'tokenizer.ggml.eos_token_id'.length + 4;
    foreign.writeUInt32LE(1024, at);
    await assert.rejects(check(foreign), /1024 of 1024 tokens/);
  });

  it('refuses two tokens that are spelt alike', async () => {
    const bytes = Buffer.from(demo);
    const letter = bytes.indexOf(Buffer.of(1, 0, 0, 0, 0, 0, 0, 0, 0x61), bytes.indexOf('tokenizer.ggml.tokens'));
    bytes.write('b', letter + 8);
    await assert.rejects(check(bytes), /spelt like another/);
  });

  it('refuses tensors of unknown types, askew, or past the end', async () => {
    const name = 'blk.0.ffn_down.weight';
    const behind = demo.indexOf(name) + name.length + 4 + 16;
    const type = Buffer.from(demo);
    type.writeUInt32LE(250, behind);
    await assert.rejects(check(type), /unknown tensor type 250/);
    const askew = Buffer.from(demo);
    askew.writeBigUInt64LE(33n, behind + 4);
    await assert.rejects(check(askew), /offset 33/);
    await assert.rejects(check(demo.subarray(0, demo.length - 4096)), /tensors end at/);
  });

  it('knows how many bytes the newest types of llama.cpp take, by its own blocks', async () => {
    const name = 'blk.0.ffn_down.weight';
    const behind = demo.indexOf(name) + name.length + 4 + 16;
    // 256 times 256: NVFP4 has 64 in 36 bytes, Q1_0 128 in 18, Q2_0 64 in 18.
    for (const [type, bytes] of [
      [40, 36_864],
      [41, 9_216],
      [42, 18_432],
    ] as const) {
      const changed = Buffer.from(demo);
      changed.writeUInt32LE(type, behind);
      assert.equal((await check(changed)).tensors.get(name)?.bytes, bytes);
    }
  });

  it('refuses tensors that can not be in the file', async () => {
    await assert.rejects(check(changed('token_embd.weight', 4, 2n ** 50n)), /elements/);
    await assert.rejects(check(changed('token_embd.weight', 24, 2n ** 40n)), /token_embd/);
    await assert.rejects(check(changed('token_embd.weight', 4, 0n)), /elements/);
  });
});
