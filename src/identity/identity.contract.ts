import { z } from 'zod';

/** POST /auth/login. The code is asked only of accounts that have activated a second factor. */
export const LoginRequest = z.object({
  username: z.string().min(1).max(128),
  password: z.string().min(1).max(128),
  /** Digits of an authenticator, or a recovery code. */
  code: z
    .string()
    .regex(/^(\d{6,8}|[a-z2-7]{4}(-[a-z2-7]{4}){3})$/i, 'six to eight digits, or a recovery code')
    .optional(),
});
export type LoginRequest = z.infer<typeof LoginRequest>;

/** The account as its owner sees it. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  roles: z.array(z.enum(['admin', 'analyst', 'auditor', 'service'])),
  attributes: z.object({ department: z.string(), clearance: z.number().int(), branch: z.string() }),
  has_totp: z.boolean(),
  has_passkey: z.boolean(),
  /** A second factor is demanded and not set up yet, or not shown yet: that is all this session may do. */
  must_enrol: z.boolean(),
  /** The password is too old (profile `mlps3`): a new one is all this session may set. */
  must_change_password: z.boolean(),
});
export type User = z.infer<typeof User>;

/** Answer to POST /auth/login. The same token is set as the `__Host-strongroom` cookie. Times are RFC 3339. */
export const LoginResponse = z.object({ token: z.string(), expires_at: z.string(), user: User });
export type LoginResponse = z.infer<typeof LoginResponse>;

/** GET /auth/session. `expires_at` is the absolute end; an idle session ends earlier. */
export const SessionResponse = z.object({ user: User, expires_at: z.string().nullable() });
export type SessionResponse = z.infer<typeof SessionResponse>;

/** POST /auth/password. Ends every session of the account, this one too. */
export const PasswordRequest = z.object({
  current_password: z.string().min(1).max(128),
  new_password: z.string().min(1).max(128),
});
export type PasswordRequest = z.infer<typeof PasswordRequest>;

/** A key's own quota, beside its account's; what is absent is not limited further. */
export const KeyQuota = z.strictObject({
  requests_day: z.number().int().min(0).max(1e12).optional(),
  tokens_day: z.number().int().min(0).max(1e15).optional(),
  requests_minute: z.number().int().min(0).max(1e9).optional(),
  tokens_minute: z.number().int().min(0).max(1e12).optional(),
  concurrent: z.number().int().min(0).max(1e6).optional(),
});
export type KeyQuota = z.infer<typeof KeyQuota>;

const scope = {
  name: z.string().trim().min(1).max(64),
  expires_in_days: z.number().int().min(1).max(366).optional(),
  /** Narrower than the account: only these models, only these actions. */
  models: z.array(z.string().min(1).max(64)).min(1).max(32).optional(),
  actions: z
    .array(z.enum(['infer', 'models.list', 'usage.read']))
    .min(1)
    .optional(),
  limits: KeyQuota.optional(),
};

/** POST /auth/keys. `password` is needed where the account has no second factor; otherwise the step-up proof is. */
export const KeyRequest = z.object({ ...scope, password: z.string().min(1).max(128).optional() });
export type KeyRequest = z.infer<typeof KeyRequest>;

export const ApiKey = z.object({
  id: z.string(),
  name: z.string(),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
  models: z.array(z.string()).nullable(),
  actions: z.array(z.string()).nullable(),
});
export type ApiKey = z.infer<typeof ApiKey>;

/** The key itself is shown here and never again. */
export const KeyResponse = ApiKey.extend({ key: z.string() });
export type KeyResponse = z.infer<typeof KeyResponse>;

export const KeyList = z.object({ data: z.array(ApiKey) });
export type KeyList = z.infer<typeof KeyList>;

/** POST /admin/keys: a key of a service account. */
export const IssueRequest = z.object({ ...scope, account: z.string().regex(/^usr_[0-9a-f]{32}$/) });
export type IssueRequest = z.infer<typeof IssueRequest>;

/** Somebody's key as admins see it. `disabled`: its owner is, so it opens nothing. */
export const OwnedKey = ApiKey.extend({
  owner: z.object({
    id: z.string(),
    username: z.string(),
    roles: z.array(z.enum(['admin', 'analyst', 'auditor', 'service'])),
    disabled: z.boolean(),
  }),
  limits: KeyQuota,
});
export type OwnedKey = z.infer<typeof OwnedKey>;

/** The key itself is shown here and never again. */
export const IssuedKey = OwnedKey.extend({ key: z.string() });
export type IssuedKey = z.infer<typeof IssuedKey>;

/** GET /admin/keys */
export const OwnedKeyList = z.object({ data: z.array(OwnedKey) });
export type OwnedKeyList = z.infer<typeof OwnedKeyList>;

export const KeyPath = z.object({ id: z.string().regex(/^key_[0-9a-f]{32}$/) });
