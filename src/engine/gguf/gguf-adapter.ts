import type { GgufHeader, TensorEntry } from './gguf-entries.ts';
import { GgufFault } from './gguf-figures.ts';
import type { GgufFacts } from './gguf-header.ts';

const MOST_RANK = 4096;
const FLOAT32 = 6;
/** f32, f16, q8_0 and bf16: what adapters are written in. */
const TYPES: ReadonlySet<number> = new Set([0, 1, 8, 30]);
const PARTS = ['lora_a', 'lora_b'] as const;

/**
 * Checks an adapter (LoRA) against the model that it is put on: each of its matrices must belong to one of the model's
 * and fit it. What does not, and what has another type than is expected, ends in an assertion of llama.cpp, some of it
 * only at the first token.
 *
 * @returns bytes of all its tensors
 * @throws GgufFault
 */
export function checkAdapter({ architecture, texts, values, types, tensors }: GgufHeader, base: GgufFacts): number {
  if (texts.get('general.type') !== 'adapter') throw new GgufFault('not an adapter');
  if (texts.get('adapter.type') !== 'lora') throw new GgufFault(`adapter.type: ${texts.get('adapter.type') ?? 'none'}`);
  if (architecture !== base.architecture) throw new GgufFault(`for ${architecture}, not for ${base.architecture}`);
  for (const key of types.keys()) if (key.startsWith('adapter.alora.')) throw new GgufFault(`${key}: not supported`);
  const alpha = values.get('adapter.lora.alpha')?.[0] ?? Number.NaN;
  // NaN is in no range.
  if (types.get('adapter.lora.alpha') !== FLOAT32 || !(alpha >= 0 && alpha <= 65_536))
    throw new GgufFault(`adapter.lora.alpha: ${alpha}`);

  for (const [target, pair] of pairsOf(tensors)) {
    const [matrix, a, b] = [base.tensors.get(target)?.shape, pair.get('lora_a'), pair.get('lora_b')];
    if (matrix === undefined) throw new GgufFault(`${target}: the model has none`);
    if (a === undefined || b === undefined) throw new GgufFault(`${target}: half of a pair`);
    const fits = target.endsWith(EMBEDDINGS) ? fitsLookUp(matrix, a, b, base) : fitsProduct(matrix, a, b);
    if (!fits) throw new GgufFault(`${target}: [${a}] and [${b}] do not fit [${matrix}]`);
  }
  return tensors.values().reduce((sum, { bytes }) => sum + bytes, 0);
}

type Shape = readonly number[];
const EMBEDDINGS = 'token_embd.weight';

function pairsOf(tensors: ReadonlyMap<string, TensorEntry>): Map<string, Map<string, Shape>> {
  const pairs = new Map<string, Map<string, Shape>>();
  for (const [name, { shape, type }] of tensors) {
    const part = PARTS.find((one) => name.endsWith(`.${one}`));
    if (part === undefined) throw new GgufFault(`${name}: no part of an adapter`);
    if (!TYPES.has(type)) throw new GgufFault(`${name}: tensor type ${type}`);
    const target = name.slice(0, -part.length - 1);
    const pair = pairs.get(target) ?? new Map<string, Shape>();
    pairs.set(target, pair.set(part, shape));
  }
  return pairs;
}

const isRank = (rank: number | undefined): boolean => rank !== undefined && rank >= 1 && rank <= MOST_RANK;

/** a: inputs x rank, b: rank x outputs; of experts, for each of them. */
function fitsProduct(matrix: Shape, a: Shape, b: Shape): boolean {
  const sameExperts = [a, b].every(
    (part) => part.length === matrix.length && matrix.slice(2).every((experts, at) => part[at + 2] === experts),
  );
  return matrix.length >= 2 && sameExperts && isRank(a[1]) && b[0] === a[1] && a[0] === matrix[0] && b[1] === matrix[1];
}

/** Embeddings are looked up, not multiplied; where they also make the scores, a product with them would not fit. */
function fitsLookUp(matrix: Shape, a: Shape, b: Shape, base: GgufFacts): boolean {
  const isFlat = [matrix, a, b].every((shape) => shape.length === 2);
  const alsoScores = !base.tensors.has('output.weight');
  return isFlat && !alsoScores && isRank(a[0]) && b[0] === a[0] && a[1] === matrix[1] && b[1] === matrix[0];
}
