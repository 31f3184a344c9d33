import { z } from 'zod';

const Instant = z.iso.datetime({ offset: true });
const Name = z.string().min(1).max(100);
const Reason = z
  .string()
  .trim()
  .min(1)
  .max(300)
  .regex(/^\P{Cc}*$/u, 'must be one line');

const FILTERS = ['actor', 'action', 'resource', 'request_id', 'from', 'to'] as const;

/** POST /admin/holds. All that is given must match; `actor` is the id of an account. At least one is needed. */
export const NewHold = z
  .strictObject({
    actor: Name.optional(),
    action: Name.optional(),
    resource: Name.optional(),
    request_id: Name.optional(),
    from: Instant.optional(),
    to: Instant.optional(),
    reason: Reason,
  })
  .refine((hold) => FILTERS.some((name) => hold[name] !== undefined), 'name what is to be held')
  // The same, for whoever reads the description: the reason and one more.
  .meta({ minProperties: 2 });
export type NewHold = z.infer<typeof NewHold>;

export const HoldPath = z.object({ id: z.string().regex(/^hold_[0-9a-f]{32}$/) });
export const HoldRelease = z.strictObject({ reason: Reason });
export type HoldRelease = z.infer<typeof HoldRelease>;

export const Hold = z.object({
  id: z.string(),
  actor: z.string().nullable(),
  action: z.string().nullable(),
  resource: z.string().nullable(),
  request_id: z.string().nullable(),
  from: z.string().nullable(),
  to: z.string().nullable(),
  reason: z.string(),
  placed_by: z.string(),
  placed_at: z.string(),
  released_by: z.string().nullable(),
  release_reason: z.string().nullable(),
  released_at: z.string().nullable(),
});
export type Hold = z.infer<typeof Hold>;
export const HoldList = z.object({ data: z.array(Hold) });
