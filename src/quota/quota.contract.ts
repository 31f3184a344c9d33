import { z } from 'zod';

const Kind = z.enum(['requests_day', 'tokens_day', 'requests_minute', 'tokens_minute', 'concurrent']);
const Budget = z.object({ limit: z.number().int(), used: z.number().int(), remaining: z.number().int() });

/** One limit that holds for the caller. Those of a department or a model he shares with others. */
const UsageLimit = Budget.extend({
  scope: z.string(),
  kind: Kind,
  dry_run: z.boolean(),
  resets_at: z.string().nullable(),
});

/**
 * GET /v1/usage: every window and scope of the caller. The day begins at midnight of `time_zone`, by the database's clock;
 * `requests` and `tokens` are the strictest of the day.
 */
export const UsageResponse = z.object({
  object: z.literal('usage'),
  day: z.string(),
  time_zone: z.string(),
  resets_at: z.string(),
  requests: Budget,
  tokens: Budget,
  limits: z.array(UsageLimit),
});
export type UsageResponse = z.infer<typeof UsageResponse>;

const Scope = z
  .string()
  .max(200)
  .regex(
    /^(user|key|role|department|model):[^\p{Cc}]+$/u,
    'must be user:ID, key:ID, role:NAME, department:NAME or model:ID',
  );
export const QuotaPath = z.object({ scope: Scope, kind: Kind });

/** Far above any day, far below where sums of tokens would stop being exact integers. */
const Amount = z.number().int().min(0).max(1_000_000_000_000);

/** PUT /admin/quotas/{scope}/{kind}. `raise` holds in place of `amount` until its end. */
export const QuotaChange = z.strictObject({
  amount: Amount,
  dry_run: z.boolean().default(false),
  raise: z.strictObject({ amount: Amount, until: z.iso.datetime({ offset: true }) }).nullish(),
});
export type QuotaChange = z.infer<typeof QuotaChange>;

export const QuotaRecord = z.object({
  scope: z.string(),
  name: z.string().nullable(),
  kind: Kind,
  amount: z.number().int(),
  dry_run: z.boolean(),
  raise: z.object({ amount: z.number().int(), until: z.string() }).nullable(),
  changed_by: z.string(),
  changed_at: z.string(),
});
export type QuotaRecord = z.infer<typeof QuotaRecord>;

/** GET /admin/quotas */
export const QuotaList = z.object({ data: z.array(QuotaRecord) });
export type QuotaList = z.infer<typeof QuotaList>;
