import { readFileSync } from 'node:fs';
import { tokenName } from '../../models/demo/byte-pair.ts';
import { gguf, type MetadataValue, type Tensor } from '../../models/demo/gguf-writer.ts';

/**
 * Models with random weights that say nonsense, each token of which depends on those before it: where a state holds less than it
 * should, they say something else. Their tokens are single bytes, so that a prompt is as long as its text.
 */
const WIDTH = 64;
const CONTEXT = 8192;
const TEMPLATE = new URL('../../models/demo/chat-template.jinja', import.meta.url);
const CONTROL = { end: '<|endoftext|>', start: '<|im_start|>', stop: '<|im_end|>' } as const;
const TOKENS = [...Array.from({ length: 256 }, (_, byte) => tokenName([byte])), ...Object.values(CONTROL), 'Ġt'];
const VOCABULARY = TOKENS.length;

type Figures = Readonly<Record<string, MetadataValue>>;

const u32 = (value: number) => ({ type: 'u32', value }) as const;
const f32 = (value: number) => ({ type: 'f32', value }) as const;

/** The same numbers each time, between -1 and 1. xorshift32. */
function noise(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
}

class Weights {
  readonly #next = noise();
  readonly tensors: Tensor[] = [];

  random(
    name: string,
    columns: number,
    rows: number,
    scale = Math.sqrt(3 / columns),
    type: 'f16' | 'f32' = 'f16',
  ): void {
    const values = Float32Array.from({ length: columns * rows }, () => this.#next() * scale);
    this.tensors.push({ name, shape: rows === 1 ? [columns] : [columns, rows], type, values });
  }

  even(name: string, value: number, columns = WIDTH, rows = 1): void {
    const values = new Float32Array(columns * rows).fill(value);
    this.tensors.push({ name, shape: rows === 1 ? [columns] : [columns, rows], type: 'f32', values });
  }

  /** Embeddings, and scores of which only printable letters ever win. */
  vocabulary(hasOutput: boolean): void {
    this.random('token_embd.weight', WIDTH, VOCABULARY, Math.sqrt(3 / WIDTH));
    this.even('output_norm.weight', 1);
    if (hasOutput) this.random('output.weight', WIDTH, VOCABULARY, Math.sqrt(3 / WIDTH));
  }
}

function file(architecture: string, figures: Figures, { tensors }: Weights, words = 'gpt-2'): Buffer {
  const about: Record<string, MetadataValue> = {
    'general.architecture': { type: 'string', value: architecture },
    'general.alignment': u32(32),
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: words },
    'tokenizer.ggml.tokens': { type: 'strings', value: TOKENS },
    'tokenizer.ggml.token_type': { type: 'i32s', value: TOKENS.map((_, id) => (id > 255 && id < 259 ? 3 : 1)) },
    'tokenizer.ggml.merges': { type: 'strings', value: ['Ġ t'] },
    'tokenizer.ggml.bos_token_id': u32(256),
    'tokenizer.ggml.eos_token_id': u32(258),
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    'tokenizer.chat_template': { type: 'string', value: readFileSync(TEMPLATE, 'utf8') },
  };
  const own = Object.entries({
    context_length: u32(CONTEXT),
    embedding_length: u32(WIDTH),
    vocab_size: u32(VOCABULARY),
    ...figures,
  }).map(([name, value]) => [`${architecture}.${name}`, value] as const);
  return gguf(new Map<string, MetadataValue>([...Object.entries(about), ...own]), tensors);
}

/** Every other layer looks no further back than `window` tokens (Gemma 2). @param words by which rules a text is cut into words */
export function slidingModel(window: number, words?: string): Buffer {
  const layers = 4;
  const [heads, feedForward] = [4, 128];
  const weights = new Weights();
  weights.vocabulary(false);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    for (const part of ['attn_norm', 'ffn_norm']) weights.even(name(part), 1);
    for (const part of ['post_attention_norm', 'post_ffw_norm']) weights.even(name(part), 2);
    for (const part of ['attn_q', 'attn_k', 'attn_v', 'attn_output']) weights.random(name(part), WIDTH, WIDTH, 0.35);
    for (const part of ['ffn_gate', 'ffn_up']) weights.random(name(part), WIDTH, feedForward);
    weights.random(name('ffn_down'), feedForward, WIDTH);
  }
  return file(
    'gemma2',
    {
      block_count: u32(layers),
      feed_forward_length: u32(feedForward),
      'attention.head_count': u32(heads),
      'attention.head_count_kv': u32(heads),
      'attention.key_length': u32(WIDTH / heads),
      'attention.value_length': u32(WIDTH / heads),
      'attention.layer_norm_rms_epsilon': f32(1e-6),
      'attention.sliding_window': u32(window),
    },
    weights,
    words,
  );
}

/** Keeps one running state and nothing of the tokens behind it (Mamba). */
export function recurrentModel(): Buffer {
  const layers = 2;
  const [inner, state, kernel, rank] = [2 * WIDTH, 16, 4, 4];
  const weights = new Weights();
  weights.vocabulary(false);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}`;
    weights.even(name('attn_norm.weight'), 1);
    weights.random(name('ssm_in.weight'), WIDTH, 2 * inner);
    weights.random(name('ssm_conv1d.weight'), kernel, inner, 0.5, 'f32');
    weights.even(name('ssm_conv1d.bias'), 0, inner);
    weights.random(name('ssm_x.weight'), inner, rank + 2 * state, 0.4);
    weights.random(name('ssm_dt.weight'), rank, inner);
    weights.even(name('ssm_dt.bias'), -3, inner);
    weights.even(name('ssm_a'), -0.2, state, inner);
    weights.even(name('ssm_d'), 0.2, inner);
    weights.random(name('ssm_out.weight'), inner, WIDTH, 0.6);
  }
  return file(
    'mamba',
    {
      block_count: u32(layers),
      feed_forward_length: u32(0),
      'attention.head_count': u32(0),
      'attention.layer_norm_rms_epsilon': f32(1e-5),
      'ssm.conv_kernel': u32(kernel),
      'ssm.inner_size': u32(inner),
      'ssm.state_size': u32(state),
      'ssm.time_step_rank': u32(rank),
    },
    weights,
  );
}

/** A layer with a running state, and one that looks back at every token (LFM2). */
export function hybridModel(): Buffer {
  const [heads, kernel, feedForward] = [4, 3, 128];
  const weights = new Weights();
  weights.random('token_embd.weight', WIDTH, VOCABULARY, Math.sqrt(3 / WIDTH));
  weights.even('token_embd_norm.weight', 1);
  for (let layer = 0; layer < 4; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`;
    for (const part of ['attn_norm', 'ffn_norm']) weights.even(name(part), 1);
    weights.random(name('ffn_gate'), WIDTH, feedForward);
    weights.random(name('ffn_up'), WIDTH, feedForward);
    weights.random(name('ffn_down'), feedForward, WIDTH);
    if (layer % 2 === 0) {
      weights.random(name('shortconv.conv'), kernel, WIDTH, 1, 'f32');
      weights.random(name('shortconv.in_proj'), WIDTH, 3 * WIDTH, 0.4);
      weights.random(name('shortconv.out_proj'), WIDTH, WIDTH, 0.4);
    } else {
      for (const part of ['attn_q_norm', 'attn_k_norm']) weights.even(name(part), 1, WIDTH / heads);
      for (const part of ['attn_q', 'attn_k', 'attn_v', 'attn_output']) weights.random(name(part), WIDTH, WIDTH, 0.4);
    }
  }
  return file(
    'lfm2',
    {
      block_count: u32(4),
      feed_forward_length: u32(feedForward),
      'attention.head_count': u32(heads),
      'attention.head_count_kv': { type: 'i32s', value: [0, heads, 0, heads] },
      'attention.layer_norm_rms_epsilon': f32(1e-5),
      'shortconv.l_cache': u32(kernel),
    },
    weights,
  );
}
