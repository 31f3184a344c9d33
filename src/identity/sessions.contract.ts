import { z } from 'zod';

/** One of one's own sessions. The id names it and opens nothing. */
export const SessionInfo = z.object({
  id: z.string(),
  current: z.boolean(),
  factors: z.array(z.string()),
  created_at: z.string(),
  last_seen_at: z.string(),
  expires_at: z.string(),
});
export type SessionInfo = z.infer<typeof SessionInfo>;

/** GET /auth/sessions */
export const SessionList = z.object({ data: z.array(SessionInfo) });
export type SessionList = z.infer<typeof SessionList>;

/** DELETE /auth/sessions/{id} */
export const SessionPath = z.object({ id: z.string().regex(/^ses_[0-9a-f]{32}$/) });
