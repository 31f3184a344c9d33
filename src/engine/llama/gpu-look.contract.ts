import { z } from 'zod';

/** Asks a child what GPUs the engine finds. */
const GpuLook = z.strictObject({ gpu: z.enum(['auto', 'cuda', 'vulkan', 'cpu']) });
export type GpuLook = z.infer<typeof GpuLook>;

const bytes = z.int().nonnegative();
const FoundGpus = z.strictObject({
  backend: z.string().max(40),
  names: z.array(z.string().max(200)).max(256),
  totalBytes: bytes,
  sharedBytes: bytes,
});
export type FoundGpus = z.infer<typeof FoundGpus>;

/** @returns null for anything that is not that question */
export const readGpuLook = (value: unknown): GpuLook | null => GpuLook.safeParse(value).data ?? null;

/** @returns null for anything that is not an answer to it */
export const readFoundGpus = (value: unknown): FoundGpus | null => FoundGpus.safeParse(value).data ?? null;
