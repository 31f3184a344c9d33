import { z } from 'zod';

const RoleName = z.enum(['admin', 'analyst', 'auditor', 'service'], 'must be admin, analyst, auditor or service');
const Roles = z
  .array(RoleName)
  .min(1)
  .max(4)
  .refine((roles) => !roles.includes('service') || roles.length === 1, 'service stands alone: it is no person’s role');
const Label = z.string().trim().max(64);
/** Names that policy rules ask for, such as `credit-risk`. */
const Certifications = z.array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$/)).max(16);
const Clearance = z.number().int().min(0, 'is 0 to 4').max(4, 'is 0 to 4');

/** An account as admins see it. `invited`: its user has not chosen a password yet. Times are RFC 3339. */
export const UserRecord = z.object({
  id: z.string(),
  username: z.string(),
  roles: z.array(RoleName),
  attributes: z.object({
    department: z.string(),
    clearance: z.number().int(),
    branch: z.string(),
    certifications: z.array(z.string()),
  }),
  state: z.enum(['active', 'invited', 'disabled']),
  has_totp: z.boolean(),
  has_passkey: z.boolean(),
  created_at: z.string(),
  last_sign_in_at: z.string().nullable(),
});
export type UserRecord = z.infer<typeof UserRecord>;

/** GET /admin/users */
export const UserList = z.object({ data: z.array(UserRecord) });
export type UserList = z.infer<typeof UserList>;

/**
 * POST /admin/users. There is no password: the user chooses his own through the link. A service account (`service` and no
 * other role) has neither: it never signs in, and admins make its keys.
 */
export const NewUser = z.object({
  username: z.string().regex(/^[a-z0-9][a-z0-9._-]{1,63}$/, 'two to 64 of a-z, 0-9, dot, dash and underscore'),
  roles: Roles,
  department: Label.default(''),
  clearance: Clearance.default(0),
  branch: Label.default(''),
  certifications: Certifications.default([]),
});
export type NewUser = z.infer<typeof NewUser>;

/** PATCH /admin/users/{id}. What is absent stays. Ends every session of the account. */
export const UserChange = z.object({
  roles: Roles.optional(),
  department: Label.optional(),
  clearance: Clearance.optional(),
  branch: Label.optional(),
  certifications: Certifications.optional(),
});
export type UserChange = z.infer<typeof UserChange>;

export const UserPath = z.object({ id: z.string().regex(/^usr_[0-9a-f]{32}$/) });

/** The link works once, within 24 hours, and is shown here only. Its token stands in the fragment, which no server logs. */
export const Enrolment = z.object({ url: z.string(), expires_at: z.string() });
export type Enrolment = z.infer<typeof Enrolment>;

/** POST /admin/users and POST /admin/users/{id}/reset. A service account has no link. */
export const Invitation = z.object({ user: UserRecord, enrolment: Enrolment.nullable() });
export type Invitation = z.infer<typeof Invitation>;
