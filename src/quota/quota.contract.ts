import { z } from 'zod';

const Budget = z.object({ limit: z.number().int(), used: z.number().int(), remaining: z.number().int() });

/** GET /v1/usage: today's budgets of the caller. The day begins at midnight of `time_zone`, by the database's clock. */
export const UsageResponse = z.object({
  object: z.literal('usage'),
  day: z.string(),
  time_zone: z.string(),
  resets_at: z.string(),
  requests: Budget,
  tokens: Budget,
});
export type UsageResponse = z.infer<typeof UsageResponse>;
