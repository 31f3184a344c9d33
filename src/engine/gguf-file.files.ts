import { open } from 'node:fs/promises';
import { checkGguf, type GgufFacts } from './gguf-header.ts';
import { estimateMemory, type MemoryEstimate } from './memory-estimate.ts';
import type { LlamaModelSpec } from './model-spec.ts';

/** @throws GgufFault that says what is wrong, or what the system says of the file */
export async function readHeader(path: string): Promise<GgufFacts> {
  await using file = await open(path);
  const readAt = async (offset: number, length: number) => {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  };
  // Waited for here: the file is closed when this function returns.
  return await checkGguf(readAt, (await file.stat()).size);
}

/**
 * Reads the header, and nothing else, with our own bounded reader. Null for a file that can't be read or is not sound:
 * what is wrong with it is said by the load, which then fails.
 */
export async function estimateFile(spec: LlamaModelSpec): Promise<MemoryEstimate | null> {
  try {
    return estimateMemory(await readHeader(spec.file), spec);
  } catch {
    return null;
  }
}
