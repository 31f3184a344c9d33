import type { Attributes, Principal } from '#kernel/principal.ts';

/** A numbered policy as it is stored: Casbin's model and its rules, both as text. */
export interface PolicyText {
  readonly version: number;
  readonly model: string;
  readonly policy: string;
  readonly sha256: string;
}

/** What is asked: strings and numbers only, each already validated. */
export interface AccessQuestion {
  /** `|user:usr_…|role:analyst|authenticated|`: exact membership by searching for `|name|`. */
  readonly subjects: string;
  readonly department: string;
  readonly clearance: number;
  readonly type: string;
  readonly id: string;
  /** 0 to 4; compared with the caller's clearance. */
  readonly classification: number;
  readonly action: string;
}

export interface AccessDecision {
  readonly allowed: boolean;
  readonly policyVersion: number;
  readonly rule: string | null;
}

/**
 * A compiled policy. Immutable: a new version is a new object.
 * MUST deny on anything it does not understand, and on anything thrown.
 */
export interface PolicyEngine {
  readonly version: number;
  decide(question: AccessQuestion): AccessDecision;
}

/** Users and roles share one namespace in Casbin; prefixes keep a user named `role:admin` a user. */
export function subjectsOf({ subject, roles, restricted, mustChangePassword = false }: Principal): string {
  const owes = [...(restricted ? ['restricted'] : []), ...(mustChangePassword ? ['expired'] : [])];
  if (owes.length > 0) return `|${owes.join('|')}|`;
  const names = [`user:${subject}`, ...roles.map((role) => `role:${role}`), 'authenticated'];
  return `|${names.filter((name) => !name.includes('|')).join('|')}|`;
}

export function questionOf(
  principal: Principal,
  action: string,
  resource: { readonly type: string; readonly id: string },
  classification: number,
): AccessQuestion {
  const { department, clearance }: Attributes = principal.attributes;
  return { subjects: subjectsOf(principal), department, clearance, ...resource, classification, action };
}
