import type { Principal, Role } from '#kernel/principal.ts';

/** Who goes first where several wait for one model: somebody who is looking on, or work that can wait. */
export type Priority = 'interactive' | 'batch';

/**
 * From roles, as the configuration has it. A caller can only step back (OpenAI's `service_tier: "flex"`), never forward:
 * what he claims of his own urgency counts for nothing.
 */
export const priorityBy =
  (batchRoles: readonly Role[]) =>
  ({ roles }: Pick<Principal, 'roles'>, tier: string | null | undefined): Priority =>
    tier === 'flex' || roles.every((role) => batchRoles.includes(role)) ? 'batch' : 'interactive';
