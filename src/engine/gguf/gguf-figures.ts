/** What a GGUF file's figures must be, so that llama.cpp, which asserts where it should check, does not abort. */
export class GgufFault extends Error {}

/** It is sound as far as it goes, and one of several. */
export class SplitFault extends GgufFault {}

type Range = readonly [least: number, most: number];

/** With a value outside, or with none, the process would abort. A figure may be one for all layers or one per layer. */
const REQUIRED: Readonly<Record<string, Range>> = {
  block_count: [1, 4096],
  embedding_length: [1, 1_048_576],
  context_length: [1, 1 << 30],
};

/** Checked where they stand: some architectures have them, others do not. */
const RANGES: Readonly<Record<string, Range>> = {
  'attention.head_count': [1, 65_536],
  'attention.head_count_kv': [1, 65_536],
  'attention.key_length': [1, 65_536],
  'attention.value_length': [1, 65_536],
  'attention.layer_norm_rms_epsilon': [0, 1],
  'attention.layer_norm_epsilon': [0, 1],
  'attention.group_norm_epsilon': [0, 1],
  'rope.freq_base': [1, 1e12],
  'rope.dimension_count': [0, 65_536],
  feed_forward_length: [1, 16_777_216],
  vocab_size: [1, 16_777_216],
  'ssm.conv_kernel': [1, 65_536],
  'ssm.inner_size': [1, 16_777_216],
  'ssm.state_size': [1, 65_536],
  'ssm.time_step_rank': [1, 65_536],
  'wkv.head_size': [1, 65_536],
  expert_count: [0, 65_536],
  expert_used_count: [0, 65_536],
  'general.alignment': [8, 65_536],
};

/** Without attention in any layer: their files say that they have 0 heads, and some no feed-forward either. */
const RECURRENT: ReadonlySet<string> = new Set(['mamba', 'mamba2', 'rwkv6', 'rwkv6qwen2', 'rwkv7', 'arwkv7']);

/** Attention and feed-forward go together: a file with the one and without the other is not whole. */
const OF_TRANSFORMERS = ['attention.head_count', 'feed_forward_length'] as const;

/** @throws GgufFault */
export function checkFigures(
  architecture: string,
  figures: ReadonlyMap<string, readonly number[]>,
  tensors: number,
  vocabulary: number,
): void {
  for (const [name, range] of Object.entries(REQUIRED)) {
    if (!figures.has(name)) throw new GgufFault(`${name}: missing`);
    within(name, figures.get(name) ?? [], range);
  }
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const mayBeNone = RECURRENT.has(architecture) && OF_TRANSFORMERS.some((one) => one === name);
    within(name, figures.get(name) ?? [], [mayBeNone ? 0 : least, most]);
  }
  for (const name of OF_TRANSFORMERS)
    if (!figures.has(name) && figures.has('attention.layer_norm_rms_epsilon')) throw new GgufFault(`${name}: missing`);
  const one = (name: string): number => figures.get(name)?.[0] ?? 0;
  if (one('block_count') > tensors) throw new GgufFault(`block_count: ${one('block_count')} with ${tensors} tensors`);
  if (one('attention.head_count_kv') > one('attention.head_count'))
    throw new GgufFault('head_count_kv: more than heads');
  if (one('general.alignment') % 8 !== 0) throw new GgufFault(`general.alignment: ${one('general.alignment')}`);
  for (const [name, [value = 0]] of figures) {
    if (/^tokenizer\.ggml\..*_token_id$/.test(name) && vocabulary > 0 && value !== 0xffffffff && value >= vocabulary)
      throw new GgufFault(`${name}: ${value} of ${vocabulary} tokens`);
  }
}

function within(name: string, values: readonly number[], [least, most]: Range): void {
  for (const value of values) {
    // Layers without attention (of hybrid models) say 0 heads, but never all of them.
    if (values.length > 1 && value === 0 && values.some((other) => other > 0)) continue;
    // NaN is in no range.
    if (!(value >= least && value <= most)) throw new GgufFault(`${name}: ${value}`);
  }
}

/** Bytes and elements of a block of ggml's tensor types; a type that is not here is refused. */
export const TENSOR_TYPES: ReadonlyMap<number, readonly [bytes: number, elements: number]> = new Map([
  [0, [4, 1]],
  [1, [2, 1]],
  [2, [18, 32]],
  [3, [20, 32]],
  [6, [22, 32]],
  [7, [24, 32]],
  [8, [34, 32]],
  [9, [36, 32]],
  [10, [84, 256]],
  [11, [110, 256]],
  [12, [144, 256]],
  [13, [176, 256]],
  [14, [210, 256]],
  [15, [292, 256]],
  [16, [66, 256]],
  [17, [74, 256]],
  [18, [98, 256]],
  [19, [50, 256]],
  [20, [18, 32]],
  [21, [110, 256]],
  [22, [82, 256]],
  [23, [136, 256]],
  [24, [1, 1]],
  [25, [2, 1]],
  [26, [4, 1]],
  [27, [8, 1]],
  [28, [8, 1]],
  [29, [56, 256]],
  [30, [2, 1]],
  [34, [54, 256]],
  [35, [66, 256]],
  [39, [17, 32]],
  [40, [36, 64]],
  [41, [18, 128]],
  [42, [18, 64]],
] as const);
