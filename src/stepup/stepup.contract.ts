import { z } from 'zod';

/** POST /auth/step-up: the challenge from a 401 `step_up_required` and a code of the account's second factor. */
export const StepUpRequest = z.object({
  challenge: z.string().regex(/^suc_[A-Za-z0-9_-]{43}$/),
  code: z.string().regex(/^\d{6,8}$/, 'six to eight digits'),
});
export type StepUpRequest = z.infer<typeof StepUpRequest>;

/** The proof goes into the header `Step-Up-Proof` of the same request, once. `expires_in` is in seconds. */
export const StepUpResponse = z.object({ proof: z.string(), expires_in: z.number().int() });
export type StepUpResponse = z.infer<typeof StepUpResponse>;
