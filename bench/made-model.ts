import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tokenName } from '../models/demo/byte-pair.ts';
import { type Blocks, gguf, type MetadataValue, type Tensor, toHalf, type Values } from '../models/demo/gguf-writer.ts';

export const CHAT_TEMPLATE = new URL('../models/demo/chat-template.jinja', import.meta.url).pathname;

/** 254 million parameters, 271 MB: large enough that arithmetic and not the way to it takes the time. */
const [WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY, CONTEXT] = [1024, 16, 16, 8, 2816, 32_000, 4096];
const CONTROL = { end: '<|endoftext|>', start: '<|im_start|>', stop: '<|im_end|>' } as const;

/** Words of one letter, then of two, and so on: as many as there is room for. Each begins with a blank. */
function* words(): Generator<{ readonly name: string; readonly merge: string }> {
  const blank = tokenName(' ');
  let shorter = [''];
  for (;;) {
    const longer: string[] = [];
    for (const start of shorter) {
      for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
        longer.push(start + letter);
        yield { name: blank + start + letter, merge: `${blank}${start} ${letter}` };
      }
    }
    shorter = longer;
  }
}

/** Random weights, the same each time. xorshift32: the engine must not find zeros to be fast with, nothing else matters. */
function noise(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/**
 * Writes a model that says endless nonsense: it never ends by itself, and each of its tokens is a word of its own with a blank
 * before it, so that the tokens of an answer can be counted in its text, and are the same ones when it is read again.
 */
export async function writeMadeModel(file: string): Promise<void> {
  const tokens = [...Array.from({ length: 256 }, (_, byte) => tokenName([byte])), ...Object.values(CONTROL)];
  const merges: string[] = [];
  const speakable = tokens.length;
  for (const { name, merge } of words()) {
    if (tokens.length === VOCABULARY) break;
    tokens.push(name);
    merges.push(merge);
  }

  const random = noise();
  const matrix = (name: string, columns: number, rows: number, deviation = 1 / Math.sqrt(columns)): Blocks => {
    const blocks = Buffer.alloc((columns * rows * 34) / 32);
    const scale = toHalf((Math.sqrt(3) * deviation) / 127);
    for (let at = 0; at < blocks.length; at += 34) {
      blocks.writeUInt16LE(scale, at);
      // Even bytes only, so that none is -128.
      for (let n = 2; n < 34; n += 4) blocks.writeUInt32LE((random() & 0xfefefefe) >>> 0, at + n);
    }
    return { name: `${name}.weight`, shape: [columns, rows], type: 'q8_0', blocks };
  };
  const ones = (name: string): Values => {
    const values = new Float32Array(WIDTH).fill(1);
    return { name: `${name}.weight`, shape: [WIDTH], type: 'f32', values };
  };
  const output = matrix('output', WIDTH, VOCABULARY, 4 / Math.sqrt(WIDTH));
  // What is not a word of its own never wins: the end of the answer, and halves of characters.
  output.blocks.fill(0, 0, (speakable * WIDTH * 34) / 32);
  const tensors: Tensor[] = [matrix('token_embd', WIDTH, VOCABULARY, 1), output, ones('output_norm')];
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string) => `blk.${layer}.${part}`;
    const keyWidth = (WIDTH / HEADS) * KV_HEADS;
    tensors.push(ones(name('attn_norm')), ones(name('ffn_norm')));
    tensors.push(matrix(name('attn_q'), WIDTH, WIDTH), matrix(name('attn_output'), WIDTH, WIDTH));
    tensors.push(matrix(name('attn_k'), WIDTH, keyWidth), matrix(name('attn_v'), WIDTH, keyWidth));
    tensors.push(matrix(name('ffn_gate'), WIDTH, FEED_FORWARD), matrix(name('ffn_up'), WIDTH, FEED_FORWARD));
    tensors.push(matrix(name('ffn_down'), FEED_FORWARD, WIDTH));
  }
  await writeFile(file, gguf(metadata(tokens, merges), tensors), { mode: 0o644 });
}

function metadata(tokens: readonly string[], merges: readonly string[]): Map<string, MetadataValue> {
  const control: ReadonlySet<string> = new Set(Object.values(CONTROL));
  const numbers: Readonly<Record<string, number>> = {
    'general.file_type': 7,
    'general.alignment': 32,
    'llama.context_length': CONTEXT,
    'llama.embedding_length': WIDTH,
    'llama.block_count': LAYERS,
    'llama.feed_forward_length': FEED_FORWARD,
    'llama.attention.head_count': HEADS,
    'llama.attention.head_count_kv': KV_HEADS,
    'llama.rope.dimension_count': WIDTH / HEADS,
    'llama.vocab_size': VOCABULARY,
    'tokenizer.ggml.bos_token_id': tokens.indexOf(CONTROL.end),
    'tokenizer.ggml.eos_token_id': tokens.indexOf(CONTROL.stop),
    'tokenizer.ggml.eot_token_id': tokens.indexOf(CONTROL.stop),
  };
  const texts: Readonly<Record<string, string>> = {
    'general.architecture': 'llama',
    'general.name': 'strongroom-made',
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.chat_template': readFileSync(CHAT_TEMPLATE, 'utf8'),
  };
  return new Map<string, MetadataValue>([
    ...Object.entries(texts).map(([key, value]) => [key, { type: 'string', value }] as const),
    ...Object.entries(numbers).map(([key, value]) => [key, { type: 'u32', value }] as const),
    ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }],
    ['llama.rope.freq_base', { type: 'f32', value: 10_000 }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: tokens.map((name) => (control.has(name) ? 3 : 1)) }],
    ['tokenizer.ggml.merges', { type: 'strings', value: merges }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
  ]);
}
