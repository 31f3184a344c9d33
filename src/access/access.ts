import type { Attributes, Principal, Strength } from '#kernel/principal.ts';
import type { Bound } from './bounds.ts';
import type { AccessContext } from './context-class.ts';

/** A numbered policy as it is stored: Casbin's model, and its rules and bounds, both as text. */
export interface PolicyText {
  readonly version: number;
  readonly model: string;
  readonly policy: string;
  readonly sha256: string;
}

/** What policy may ask of a resource, from our own store. */
export interface ResourceAttributes {
  /** 0 to 4; compared with the caller's clearance. */
  readonly classification: number;
  /** Department that owns it; empty where none does. */
  readonly owner: string;
}

/** What is asked: strings and numbers only, each already validated. */
export interface AccessQuestion {
  /** `|user:usr_…|role:analyst|authenticated|`: exact membership by searching for `|name|`. */
  readonly subjects: string;
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  /** `|credit-risk|aml|`, or empty. */
  readonly certifications: string;
  readonly type: string;
  readonly id: string;
  readonly classification: number;
  readonly owner: string;
  readonly action: string;
}

export interface AccessDecision {
  readonly allowed: boolean;
  readonly policyVersion: number;
  readonly rule: string | null;
  /** Conditions of that rule, as it states them; null where it has none. */
  readonly conditions: string | null;
}

/**
 * A compiled policy. Immutable: a new version is a new object.
 * MUST deny on anything it does not understand, and on anything thrown.
 */
export interface PolicyEngine {
  readonly version: number;
  decide(question: AccessQuestion, context: AccessContext): AccessDecision;
  /** The bounds on what these subjects may ask of a model. */
  boundsOf(subjects: string, model: string): readonly Bound[];
}

/** Users and roles share one namespace in Casbin; prefixes keep a user named `role:admin` a user. */
export function subjectsOf({
  subject,
  roles,
  restricted,
  mustChangePassword = false,
}: Pick<Principal, 'subject' | 'roles' | 'restricted' | 'mustChangePassword'>): string {
  const owes = [...(restricted ? ['restricted'] : []), ...(mustChangePassword ? ['expired'] : [])];
  if (owes.length > 0) return `|${owes.join('|')}|`;
  const names = [`user:${subject}`, ...roles.map((role) => `role:${role}`), 'authenticated'];
  return `|${names.filter((name) => !name.includes('|')).join('|')}|`;
}

/** Who asks, as far as policy looks. */
export interface Asker extends Pick<Principal, 'subject' | 'roles' | 'restricted' | 'mustChangePassword'> {
  readonly attributes: Attributes;
  readonly strength: Strength;
}

export function questionOf(
  asker: Asker,
  action: string,
  { type, id }: { readonly type: string; readonly id: string },
  { classification, owner }: ResourceAttributes,
): AccessQuestion {
  const { department, clearance, branch, certifications } = asker.attributes;
  const held = certifications.filter((name) => name !== '' && !name.includes('|'));
  return {
    subjects: subjectsOf(asker),
    department,
    clearance,
    branch,
    certifications: held.length === 0 ? '' : `|${held.join('|')}|`,
    type,
    id,
    classification,
    owner,
    action,
  };
}

/** Whether `|a|b|` holds a name, exactly. */
export const holdsName = (names: string, name: string): boolean =>
  name !== '' && !name.includes('|') && names.includes(`|${name}|`);
