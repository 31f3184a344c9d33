import { z } from 'zod';

/** Our own request id, as it stands in `x-request-id`. */
export const ReceiptPath = z.object({ request: z.string().regex(/^req_[0-9a-f]{32}$/) });

const ProvenRecord = z.object({
  seq: z.number().int(),
  record: z.string(),
  proof: z.array(z.base64().length(44)),
});

/**
 * GET /v1/receipts/{request}. `outcome` is null while the request runs; `opening` (hex) is the key of the commitments
 * to prompt and answer. `rotations` lead from earlier keys of the log to the present one. `verifier_key` is there to be compared: a receipt is checked with one that came another way.
 */
export const ReceiptAnswer = z.object({
  v: z.literal(1),
  origin: z.string(),
  checkpoint: z.string(),
  intent: ProvenRecord,
  outcome: ProvenRecord.nullable(),
  opening: z.string().nullable(),
  verifier_key: z.string(),
  rotations: z.array(z.string()),
});
