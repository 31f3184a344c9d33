import { z } from 'zod';

/** POST /auth/enrol: the token of an enrolment link and the password that its user chooses. */
export const EnrolRequest = z.object({
  token: z.string().regex(/^sre_[A-Za-z0-9_-]{43}$/),
  password: z.string().min(1).max(128),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;

/** `must_enrol`: at the next sign-in a second factor has to be set up before anything else. */
export const EnrolResponse = z.object({ username: z.string(), must_enrol: z.boolean() });
export type EnrolResponse = z.infer<typeof EnrolResponse>;

/** POST /auth/totp/enrol: `password` where the account has no second factor yet; otherwise the step-up proof is asked. */
export const TotpRequest = z.object({ password: z.string().min(1).max(128).optional() });
export type TotpRequest = z.infer<typeof TotpRequest>;

/** The secret (Base32) and its `otpauth://` URI, shown here only. Nothing changes before it is activated. */
export const TotpResponse = z.object({
  secret: z.string(),
  uri: z.string(),
  algorithm: z.enum(['SHA1', 'SHA256']),
  digits: z.number().int(),
  period: z.number().int(),
});
export type TotpResponse = z.infer<typeof TotpResponse>;

/** POST /auth/totp/activate: one good code. Ends every session of the account, this one too. */
export const TotpActivation = z.object({ code: z.string().regex(/^\d{6,8}$/, 'six to eight digits') });
export type TotpActivation = z.infer<typeof TotpActivation>;

/** Ten codes of 80 bits, each good once in place of a code at sign-in; shown here only. */
export const RecoveryCodes = z.object({ recovery_codes: z.array(z.string()) });
export type RecoveryCodes = z.infer<typeof RecoveryCodes>;
