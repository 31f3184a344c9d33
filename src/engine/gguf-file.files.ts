import { open, stat } from 'node:fs/promises';
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
    const facts = await checkGguf(readAt, (await file.stat()).size);
    const put = spec.adapter === undefined ? 0 : (await stat(spec.adapter.file)).size;
    return estimateMemory({ ...facts, tensorBytes: facts.tensorBytes + put }, spec);
  } catch {
    return null;
  }
}
