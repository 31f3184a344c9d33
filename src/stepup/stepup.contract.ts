import { z } from 'zod';
import { Assertion } from '#identity/webauthn.contract.ts';

const Challenge = z.string().regex(/^suc_[A-Za-z0-9_-]{43}$/);

/**
 * POST /auth/step-up: the challenge from a 401 `step_up_required`, and a code of the account's second factor or the answer
 * of its passkey to the options of POST /auth/webauthn/step-up.
 */
export const StepUpRequest = z.union([
  z.object({ challenge: Challenge, code: z.string().regex(/^\d{6,8}$/, 'six to eight digits') }),
  z.object({ challenge: Challenge, assertion: Assertion }),
]);
export type StepUpRequest = z.infer<typeof StepUpRequest>;

/** The proof goes into the header `Step-Up-Proof` of the same request, once. `expires_in` is in seconds. */
export const StepUpResponse = z.object({ proof: z.string(), expires_in: z.number().int() });
export type StepUpResponse = z.infer<typeof StepUpResponse>;

/** POST /auth/webauthn/step-up. What the passkey signs is bound to the challenge's one operation. */
export const StepUpOptionsRequest = z.object({ challenge: Challenge });
export type StepUpOptionsRequest = z.infer<typeof StepUpOptionsRequest>;
