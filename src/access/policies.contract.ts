import { z } from 'zod';

/** Times are RFC 3339. `created_by` is an account, or `system` for what policies/ seeded. */
export const PolicyVersion = z.object({
  version: z.number().int(),
  sha256: z.string(),
  created_by: z.string(),
  created_at: z.string(),
  reason: z.string(),
  /** The version whose content it brought back; null for an import. */
  restored: z.number().int().nullable(),
});
export type PolicyVersion = z.infer<typeof PolicyVersion>;

const ChangedLine = z.object({ name: z.string(), before: z.string().nullable(), after: z.string().nullable() });
export const PolicyDiff = z.object({
  /** Whether model.conf differs. */
  model: z.boolean(),
  added: z.array(ChangedLine),
  removed: z.array(ChangedLine),
  changed: z.array(ChangedLine),
});
export type PolicyDiff = z.infer<typeof PolicyDiff>;

/** GET /admin/policies. `folder`: what lies in policies/ beside this replica's program, and whether that is in force. */
export const PolicyList = z.object({
  current: z.number().int(),
  folder: z.object({ sha256: z.string(), differs: z.boolean(), diff: PolicyDiff }),
  data: z.array(PolicyVersion),
});
export type PolicyList = z.infer<typeof PolicyList>;

const Version = z.string().regex(/^[1-9]\d{0,8}$/);
export const PolicyPath = z.object({ version: Version });
export type PolicyPath = z.infer<typeof PolicyPath>;

/** GET /admin/policies/{version} */
export const PolicyContent = z.object({
  version: z.number().int(),
  sha256: z.string(),
  model: z.string(),
  policy: z.string(),
});
export type PolicyContent = z.infer<typeof PolicyContent>;

/** GET /admin/policies/{version}/diff: what that version changed in `against`. */
export const DiffQuery = z.object({ against: Version });
export type DiffQuery = z.infer<typeof DiffQuery>;

const Reason = z.string().trim().max(200);

/** POST /admin/policies. Without `model` that of the version in force stays. */
export const PolicyImport = z.object({
  model: z.string().min(1).max(65_536).optional(),
  policy: z.string().min(1).max(4_194_304),
  reason: Reason.default(''),
});
export type PolicyImport = z.infer<typeof PolicyImport>;

/** POST /admin/policies/{version}/rollback */
export const PolicyRollback = z.object({ reason: Reason.default('') });
export type PolicyRollback = z.infer<typeof PolicyRollback>;

const Fault = z.object({
  severity: z.enum(['error', 'warning']),
  line: z.number().int().nullable(),
  rule: z.string().nullable(),
  message: z.string(),
});
export const PolicyImported = z.object({ version: PolicyVersion, warnings: z.array(Fault), diff: PolicyDiff });
export type PolicyImported = z.infer<typeof PolicyImported>;

/** GET /admin/policies/explain. Without `at` now; `from` is an address; without `strength` the user's strongest. */
export const ExplainQuery = z.object({
  user: z.string().min(1).max(128),
  action: z.string().min(1).max(64),
  resource: z.string().min(3).max(200),
  at: z.iso.datetime({ offset: true }).optional(),
  from: z.string().max(45).optional(),
  strength: z.enum(['none', 'password', 'second-factor', 'phishing-resistant']).optional(),
});
export type ExplainQuery = z.infer<typeof ExplainQuery>;

export const Explanation = z.object({
  allowed: z.boolean(),
  policy_version: z.number().int(),
  rule: z.string().nullable(),
  because: z.string(),
  rules: z.array(
    z.object({
      rule: z.string(),
      effect: z.string(),
      explanation: z.string(),
      applies: z.boolean(),
      conditions: z.array(z.object({ asks: z.string(), found: z.string(), met: z.boolean() })),
    }),
  ),
});
export type Explanation = z.infer<typeof Explanation>;

/** POST /audit/policies/replay. `cursor`: the seq before which to go on, from the answer before. */
export const ReplayRequest = z.object({
  model: z.string().min(1).max(65_536).optional(),
  policy: z.string().min(1).max(4_194_304),
  days: z.number().int().min(1).max(7).default(7),
  cursor: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional(),
});
export type ReplayRequest = z.infer<typeof ReplayRequest>;

/** Newest first. `next_cursor`: there is more, ask again; null: that was all. */
export const ReplayResult = z.object({
  decisions: z.number().int(),
  changed: z.number().int(),
  unreadable: z.number().int(),
  examples: z.array(
    z.object({
      seq: z.string(),
      at: z.string(),
      actor: z.string(),
      action: z.string(),
      resource: z.string(),
      before: z.enum(['allow', 'deny']),
      rule_before: z.string().nullable(),
      after: z.enum(['allow', 'deny']),
      rule_after: z.string().nullable(),
    }),
  ),
  next_cursor: z.string().nullable(),
});
export type ReplayResult = z.infer<typeof ReplayResult>;
