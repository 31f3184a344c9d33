import { open } from 'node:fs/promises';
import { checkAdapter } from '#engine/gguf/gguf-adapter.ts';
import { checkDraft } from '#engine/gguf/gguf-draft.ts';
import { readGguf } from '#engine/gguf/gguf-entries.ts';
import { checkGguf, type GgufFacts } from '#engine/gguf/gguf-header.ts';
import { GGUF_LIMITS, type ReadAt } from '#engine/gguf/gguf-reader.ts';
import { estimateMemory, type MemoryEstimate } from './memory-estimate.ts';
import type { LlamaModelSpec } from './model-spec.ts';

/** @throws GgufFault that says what is wrong, or what the system says of the file */
export const readHeader = (path: string): Promise<GgufFacts> => read(path, checkGguf);

/** @throws GgufFault that says what is wrong with an adapter, or why it does not go with the model that it is put on */
export async function readAdapter(path: string, base: GgufFacts): Promise<void> {
  checkAdapter(await read(path, (readAt, size) => readGguf(readAt, size, GGUF_LIMITS)), base);
}

/** @throws GgufFault that says what is wrong with a draft model, or why it does not go with the large one */
export async function readDraft(path: string, large: GgufFacts): Promise<void> {
  checkDraft(await readHeader(path), large);
}

async function read<T>(path: string, parse: (readAt: ReadAt, size: number) => Promise<T>): Promise<T> {
  await using file = await open(path);
  const readAt = async (offset: number, length: number) => {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  // Waited for here: the file is closed when this function returns.
  return await parse(readAt, (await file.stat()).size);
}

/**
 * Reads headers, and nothing else, with our own bounded reader. Null for a file that can't be read or is not sound: what
 * is wrong with it is said by the load, which then fails.
 */
export async function estimateFile(spec: LlamaModelSpec): Promise<MemoryEstimate | null> {
  try {
    const own = estimateMemory(await readHeader(spec.file), spec);
    const beside = (await adapterBytes(spec)) + (await draftBytes(spec));
    return { ...own, weights: own.weights + beside, beside };
  } catch {
    return null;
  }
}

async function adapterBytes({ adapter }: LlamaModelSpec): Promise<number> {
  if (adapter === undefined) return 0;
  await using file = await open(adapter.file);
  return (await file.stat()).size;
}

/** Weights, and a context for the one conversation that it follows. */
async function draftBytes({ draft, systemPrompts: _, kvType: __, ...spec }: LlamaModelSpec): Promise<number> {
  if (draft === undefined) return 0;
  const { weights, context, compute } = estimateMemory(await readHeader(draft.file), { ...spec, parallel: 1 });
  return weights + context + compute;
}
