import { z } from 'zod';

/** RFC 3339 with `Z` or an offset. */
const Instant = z.iso.datetime({ offset: true });
const Name = z.string().min(1).max(100);

/** GET /audit/events. All filters are exact; `from` and `to` narrow the seven days and never widen them. */
export const EventQuery = z.object({
  from: Instant.optional(),
  to: Instant.optional(),
  actor: Name.optional(),
  action: Name.optional(),
  resource: Name.optional(),
  outcome: Name.optional(),
  request_id: Name.optional(),
  cursor: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type EventQuery = z.infer<typeof EventQuery>;

/** GET /audit/export: the filters of a search. The answer is a tar of what `strongroom audit verify --export` checks. */
export const ExportQuery = EventQuery.omit({ cursor: true, limit: true }).extend({
  format: z.enum(['jsonl', 'csv']).default('jsonl'),
});
export type ExportQuery = z.infer<typeof ExportQuery>;

/** `seq` is a decimal string: it may pass 2^53. */
export const EventSummary = z.object({
  seq: z.string(),
  at: z.string(),
  kind: z.string(),
  actor: z.string(),
  actor_name: z.string().nullable(),
  action: z.string(),
  resource: z.string(),
  outcome: z.string(),
  request_id: z.string().nullable(),
});
export type EventSummary = z.infer<typeof EventSummary>;

/** Newest first. `next_cursor` is null on the last page. */
export const EventPage = z.object({ data: z.array(EventSummary), next_cursor: z.string().nullable() });
export type EventPage = z.infer<typeof EventPage>;

export const EventPath = z.object({ seq: z.string().regex(/^(0|[1-9]\d{0,17})$/) });

/** One record: the exact bytes that were hashed (`record`), their leaf hash (RFC 9162, section 2.1.1) in hex. */
export const EventDetail = EventSummary.extend({ record: z.string(), leaf: z.string() });
export type EventDetail = z.infer<typeof EventDetail>;
