import type { MemoryEstimate } from './memory-estimate.ts';

/** Bytes of the machine's memory and of its GPUs'. */
export interface MemoryFigures {
  readonly ram: number;
  readonly vram: number;
}

/** Where a model's layers lie, and what it takes there. */
export interface Placement {
  readonly needs: MemoryFigures;
  /** So many of the last layers are on a GPU; `of` of them with what makes the scores. */
  readonly onGpu: number;
  readonly of: number;
}

/** What a process has on a GPU before it has a model there: its context and its kernels. */
export const GPU_PROCESS_BYTES = 512 * 1024 * 1024;

/**
 * As many layers on the GPU as its budget allows, the last ones first, as llama.cpp has them; or as many as were asked
 * for. The budget is all that models may take there and not what happens to be free: a model that is half on the GPU
 * because another was there before would be slow for as long as it runs, where the other one can be made to go.
 *
 * @param vram what models may take on the GPUs that this one may use; `shared` where that is the machine's own memory; null
 *   where it uses none
 */
export function place(estimate: MemoryEstimate, vram: number | 'shared' | null, asked: number | 'auto'): Placement {
  const { weights, context, compute, child, layers, output, beside } = estimate;
  const of = layers.length + 1;
  const all = { ram: child + weights + context + compute, vram: 0 };
  if (vram === null || asked === 0) return { needs: all, onGpu: 0, of };
  if (vram === 'shared') {
    const onGpu = asked === 'auto' ? of : Math.min(asked, of);
    return { needs: { ram: all.ram + GPU_PROCESS_BYTES, vram: 0 }, onGpu, of };
  }
  let [onGpu, taken, spared] = [0, GPU_PROCESS_BYTES + compute + beside, beside];
  const parts = layers.toReversed().map((layer) => layer.weights + layer.context);
  for (const part of [...parts, output]) {
    if (asked === 'auto' ? taken + part > vram : onGpu === asked) break;
    onGpu++;
    taken += part;
    spared += part;
  }
  if (onGpu === 0) return { needs: all, onGpu, of };
  return { needs: { ram: Math.max(child, all.ram - spared), vram: taken }, onGpu, of };
}
