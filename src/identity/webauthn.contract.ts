import { z } from 'zod';

const Bytes = (most: number) => z.string().regex(new RegExp(`^[A-Za-z0-9_-]{1,${most}}$`), 'must be base64url');
const Transports = z.array(z.string().regex(/^[a-z-]{1,32}$/)).max(8);

const Descriptor = z.object({ type: z.literal('public-key'), id: z.string(), transports: z.array(z.string()) });

/** For `PublicKeyCredential.parseRequestOptionsFromJSON`. */
export const RequestOptions = z.object({
  challenge: z.string(),
  timeout: z.number().int(),
  rpId: z.string(),
  allowCredentials: z.array(Descriptor),
  userVerification: z.literal('required'),
});
export type RequestOptions = z.infer<typeof RequestOptions>;

/** For `PublicKeyCredential.parseCreationOptionsFromJSON`. */
export const CreationOptions = z.object({
  rp: z.object({ id: z.string(), name: z.string() }),
  user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
  challenge: z.string(),
  pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.number().int() })),
  timeout: z.number().int(),
  excludeCredentials: z.array(Descriptor),
  authenticatorSelection: z.object({ residentKey: z.literal('preferred'), userVerification: z.literal('required') }),
  attestation: z.literal('none'),
});
export type CreationOptions = z.infer<typeof CreationOptions>;

/** `AuthenticationResponseJSON`, as `credential.toJSON()` makes it; what else is in it is ignored. */
export const Assertion = z.object({
  id: Bytes(1400),
  rawId: Bytes(1400),
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: Bytes(2000),
    authenticatorData: Bytes(2000),
    signature: Bytes(2000),
    userHandle: Bytes(128).nullish(),
  }),
});
export type Assertion = z.infer<typeof Assertion>;

/** `RegistrationResponseJSON`, as `credential.toJSON()` makes it. */
export const Attestation = z.object({
  id: Bytes(1400),
  rawId: Bytes(1400),
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: Bytes(2000),
    attestationObject: Bytes(12_000),
    transports: Transports.optional(),
  }),
});
export type Attestation = z.infer<typeof Attestation>;

/** POST /auth/webauthn/sign-in/options: answered where the password is right and the account has a passkey. */
export const PasskeySignInRequest = z.object({
  username: z.string().min(1).max(128),
  password: z.string().min(1).max(128),
});
export type PasskeySignInRequest = z.infer<typeof PasskeySignInRequest>;

/** POST /auth/webauthn/sign-in and /auth/webauthn/confirm */
export const AssertionRequest = z.object({ assertion: Assertion });
export type AssertionRequest = z.infer<typeof AssertionRequest>;

/** POST /auth/webauthn/register/options: `password` where the account has no second factor; else a step-up proof. */
export const RegisterOptionsRequest = z.object({ password: z.string().min(1).max(128).optional() });
export type RegisterOptionsRequest = z.infer<typeof RegisterOptionsRequest>;

const Name = z.string().trim().min(1).max(64);

/** POST /auth/webauthn/register. Ends every session of the account, this one too. */
export const RegisterRequest = z.object({ name: Name, attestation: Attestation });
export type RegisterRequest = z.infer<typeof RegisterRequest>;

/** A passkey as its owner sees it. Times are RFC 3339. */
export const PasskeyInfo = z.object({
  id: z.string(),
  name: z.string(),
  created_at: z.string(),
  last_used_at: z.string().nullable(),
});
export type PasskeyInfo = z.infer<typeof PasskeyInfo>;

/** `recovery_codes`: ten, shown here only, where the account had none left; otherwise empty, and the old ones stay. */
export const RegisterResponse = z.object({ passkey: PasskeyInfo, recovery_codes: z.array(z.string()) });
export type RegisterResponse = z.infer<typeof RegisterResponse>;

/** GET /auth/webauthn/keys */
export const PasskeyList = z.object({ data: z.array(PasskeyInfo) });
export type PasskeyList = z.infer<typeof PasskeyList>;

/** PATCH /auth/webauthn/keys/{id} */
export const RenameRequest = z.object({ name: Name });
export type RenameRequest = z.infer<typeof RenameRequest>;

export const PasskeyPath = z.object({ id: z.string().regex(/^psk_[0-9a-f]{32}$/) });
