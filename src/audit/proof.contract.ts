import { z } from 'zod';

/** A number of leaves or the place of one: decimal, without leading zeros, up to 2^53 - 1. */
const Place = z
  .string()
  .regex(/^(0|[1-9]\d{0,15})$/)
  .transform(Number)
  .pipe(z.number().int().max(Number.MAX_SAFE_INTEGER));
const Hash = z.base64().length(44);

/** GET /audit/proof/inclusion. Without `size`: in the tree of the latest checkpoint. */
export const InclusionQuery = z.object({ seq: Place, size: Place.optional() });
export type InclusionQuery = z.infer<typeof InclusionQuery>;

/** RFC 9162, section 2.1.3. `root` is the one that the proof leads to; what counts is the signed one. */
export const InclusionProof = z.object({
  seq: z.number().int(),
  size: z.number().int(),
  leaf: Hash,
  root: Hash,
  proof: z.array(Hash),
});
export type InclusionProof = z.infer<typeof InclusionProof>;

/** GET /audit/proof/consistency. Without `to`: to the tree of the latest checkpoint. */
export const ConsistencyQuery = z.object({ from: Place, to: Place.optional() });
export type ConsistencyQuery = z.infer<typeof ConsistencyQuery>;

/** RFC 9162, section 2.1.4. */
export const ConsistencyProof = z.object({
  from: z.number().int(),
  to: z.number().int(),
  from_root: Hash,
  to_root: Hash,
  proof: z.array(Hash),
});
export type ConsistencyProof = z.infer<typeof ConsistencyProof>;
