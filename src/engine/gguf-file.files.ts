import { open } from 'node:fs/promises';
import { checkGguf } from './gguf-header.ts';
import { estimateMemory, type MemoryEstimate } from './memory-estimate.ts';
import type { LlamaModelSpec } from './model-spec.ts';

/**
 * Reads the header, and nothing else, with our own bounded reader. Null for a file that can't be read or is not sound:
 * what is wrong with it is said by the load, which then fails.
 */
export async function estimateFile(spec: LlamaModelSpec): Promise<MemoryEstimate | null> {
  try {
    await using file = await open(spec.file);
    const readAt = async (offset: number, length: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return estimateMemory(await checkGguf(readAt, (await file.stat()).size), spec);
  } catch {
    return null;
  }
}
