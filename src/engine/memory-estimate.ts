import type { GgufFacts } from '#engine/gguf/gguf-header.ts';
import { type LlamaModelSpec, sequencesOf } from './model-spec.ts';

/** A child without a model: node, the engine's libraries, their heaps. Measured, rounded up. */
const CHILD_BYTES = 160 * 1024 * 1024;
/** Positions that are computed at once; what is needed between the layers grows with it. */
const BATCH = 512;
/** Bytes of one element as keys and values are kept: q8_0 has a scale for each 32, q4_0 two to a byte. */
const KV_BYTES = { f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 } as const;

export interface MemoryEstimate {
  readonly weights: number;
  readonly context: number;
  /** Between the layers, and the scores of all tokens for each position of a batch. */
  readonly compute: number;
  readonly child: number;
  /** Of weights and context, what each layer has: what goes to a GPU goes by layers, the last ones first. */
  readonly layers: readonly { readonly weights: number; readonly context: number }[];
  /** Of the weights, what turns the last layer's output into scores; it goes with all layers. */
  readonly output: number;
  /** Of the weights, what stands beside the model, an adapter or a draft model with its context: on a GPU with any layer. */
  readonly beside: number;
}

/**
 * What a model will take, from its header alone, before anything is loaded. An upper bound for dense transformers; what
 * was measured goes before it as soon as the model ran once.
 */
export function estimateMemory(facts: GgufFacts, spec: LlamaModelSpec): MemoryEstimate {
  const { figures, tensorBytes, vocabulary, layerBytes, outputBytes } = facts;
  const one = (name: string, otherwise: number) => figures.get(name)?.[0] ?? otherwise;
  const layers = one('block_count', 1);
  const width = one('embedding_length', 1);
  // Layers without attention say 0, all of them in models that have none.
  const heads = Math.max(...(figures.get('attention.head_count') ?? [1]));
  const headWidth = heads > 0 ? width / heads : 0;
  const keyWidth = one('attention.key_length', headWidth);
  const valueWidth = one('attention.value_length', headWidth);
  // One figure for all layers, or one for each.
  const keyValueHeads = figures.get('attention.head_count_kv') ?? [heads];
  const headsOf = (layer: number) => keyValueHeads[keyValueHeads.length === 1 ? 0 : layer] ?? 0;
  // Vectors are made in one sequence, and each text in one batch.
  const sequences = sequencesOf(spec);
  const positions = spec.contextSize * sequences;
  // What a layer with a running state keeps of each conversation, whatever its length.
  const state = 4 * one('ssm.inner_size', 0) * (one('ssm.state_size', 0) + one('ssm.conv_kernel', 0));
  const running = sequences * (state + 4 * width * one('wkv.head_size', 0));
  const batch = spec.embedding ? spec.contextSize : BATCH;
  const ofOneHead = positions * (keyWidth + valueWidth) * KV_BYTES[spec.kvType ?? 'f16'];
  const byLayer = Array.from({ length: layers }, (_, layer) => ({
    weights: layerBytes[layer] ?? 0,
    context: Math.ceil(ofOneHead * headsOf(layer) + running),
  }));
  const widest = Math.max(width, one('feed_forward_length', width));
  return {
    weights: tensorBytes,
    context: byLayer.reduce((sum, { context }) => sum + context, 0),
    compute: batch * 4 * (one('vocab_size', vocabulary) + 4 * widest + heads * Math.min(spec.contextSize, 4096)),
    child: CHILD_BYTES,
    layers: byLayer,
    output: outputBytes,
    beside: 0,
  };
}
