import type { User } from '#identity/identity.contract.ts';
import type { UserChange, UserRecord } from '#identity/users.contract.ts';

export const ROLE_NAMES = ['analyst', 'auditor', 'admin', 'service'] as const satisfies UserRecord['roles'];

/** Whether a fresh second factor is asked for, and not the password. */
export const hasFactor = (user: Pick<User, 'has_totp' | 'has_passkey'>): boolean => user.has_totp || user.has_passkey;

/** What admins decide about an account, as a form holds it. */
export interface AccountDraft {
  readonly roles: UserRecord['roles'];
  readonly department: string;
  readonly clearance: number;
  readonly branch: string;
  readonly certifications: string[];
}

export const NEW_ACCOUNT: AccountDraft = {
  roles: ['analyst'],
  department: '',
  clearance: 0,
  branch: '',
  certifications: [],
};

export const draftOf = ({ roles, attributes }: UserRecord): AccountDraft => ({
  roles: ROLE_NAMES.filter((role) => roles.includes(role)),
  department: attributes.department,
  clearance: attributes.clearance,
  branch: attributes.branch,
  certifications: attributes.certifications,
});

/** Without the empty one that a blank at the end is while somebody types. */
export const certificationsOf = ({ certifications }: AccountDraft): string[] => certifications.filter(Boolean);

/** Only what differs, for PATCH: what is absent stays as it is. Null where nothing does. */
export function changeOf(user: UserRecord, draft: AccountDraft): UserChange | null {
  const before = draftOf(user);
  const department = draft.department.trim();
  const branch = draft.branch.trim();
  const certifications = certificationsOf(draft);
  const change: UserChange = {
    ...(before.roles.join() === draft.roles.join() ? {} : { roles: draft.roles }),
    ...(before.department === department ? {} : { department }),
    ...(before.clearance === draft.clearance ? {} : { clearance: draft.clearance }),
    ...(before.branch === branch ? {} : { branch }),
    ...(before.certifications.join() === certifications.join() ? {} : { certifications }),
  };
  return Object.keys(change).length === 0 ? null : change;
}

/** Whether every word that was typed stands somewhere in the account. */
export function matches(user: UserRecord, typed: string): boolean {
  const { department, branch } = user.attributes;
  const hay = [user.username, department, branch, user.state, ...user.roles].join(' ').toLowerCase();
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}
