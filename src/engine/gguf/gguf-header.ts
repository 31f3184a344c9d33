import { type GgufHeader, readGguf } from './gguf-entries.ts';
import { checkFigures } from './gguf-figures.ts';
import { GGUF_LIMITS, type GgufLimits, type ReadAt } from './gguf-reader.ts';

/** What a model's header says, as far as we need it. */
export interface GgufFacts {
  readonly architecture: string;
  /** Numbers and short arrays of numbers by name, without the architecture's prefix where they have it. */
  readonly figures: ReadonlyMap<string, readonly number[]>;
  /** The template inside the file, if any. It is not trusted; an admin may have approved its digest. */
  readonly chatTemplate: string | null;
  readonly vocabulary: number;
  readonly vocabularyMark: string;
  readonly tensors: GgufHeader['tensors'];
  /** Bytes of all tensors together. */
  readonly tensorBytes: number;
  /** Of them, by layer; and of those that make scores of the last layer's output. */
  readonly layerBytes: readonly number[];
  readonly outputBytes: number;
}

/**
 * A bounded check of a model's header. It runs in the child before any other parser sees the file: the library's own
 * reader takes any count and any length at its word and can be made to allocate or loop without end (engine.md,
 * section 4). It decides only whether the header is sane; it keeps nothing of it but what is checked.
 *
 * @throws GgufFault that says what is wrong
 */
export async function checkGguf(readAt: ReadAt, size: number, limits: GgufLimits = GGUF_LIMITS): Promise<GgufFacts> {
  const header = await readGguf(readAt, size, limits);
  const { architecture, values, chatTemplate, vocabulary, vocabularyMark, tensors } = header;
  const figures = new Map<string, readonly number[]>();
  for (const [key, numbers] of values) figures.set(key.replace(`${architecture}.`, ''), numbers);
  checkFigures(architecture, figures, tensors.size, vocabulary);
  return { architecture, figures, chatTemplate, vocabulary, vocabularyMark, tensors, ...bytesOf(tensors, figures) };
}

function bytesOf(
  tensors: GgufHeader['tensors'],
  figures: GgufFacts['figures'],
): Pick<GgufFacts, 'tensorBytes' | 'layerBytes' | 'outputBytes'> {
  const layerBytes = new Array<number>(figures.get('block_count')?.[0] ?? 0).fill(0);
  let [tensorBytes, outputBytes] = [0, 0];
  for (const [name, { bytes }] of tensors) {
    const layer = Number(/^blk\.(\d{1,4})\./.exec(name)?.[1] ?? -1);
    if (layer >= 0 && layer < layerBytes.length) layerBytes[layer] = (layerBytes[layer] ?? 0) + bytes;
    if (/^output\b/.test(name)) outputBytes += bytes;
    tensorBytes += bytes;
  }
  // Without scores of their own the embeddings serve, and lie there a second time.
  const scores = outputBytes > 0 ? outputBytes : (tensors.get('token_embd.weight')?.bytes ?? 0);
  return { tensorBytes, layerBytes, outputBytes: scores };
}
