import { type Principal, ROLES, type Role } from '#kernel/principal.ts';
import { prepared, type Queryable } from '#postgres/pool.ts';
import { type Account, type AccountStore, type ApiKeyRecord, PASSWORD_EXPIRED, strengthOf } from './identity.ts';
import { FACTORS } from './oidc.ts';

interface AccountRow {
  id: string;
  username: string;
  password_hash: string | null;
  roles: string[];
  department: string;
  clearance: number;
  branch: string;
  totp_secret: Buffer | null;
  has_passkey: boolean;
  epoch: string;
}
interface PrincipalRow {
  subject: string;
  username: string;
  roles: string[];
  department: string;
  clearance: number;
  branch: string;
  certifications: string[];
  has_totp: boolean;
  has_passkey: boolean;
  epoch: string;
  credential: string;
  expires_at: Date | null;
  models: string[] | null;
  actions: string[] | null;
  factors: string[];
}
interface KeyRow {
  id: string;
  name: string;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
  models: string[] | null;
  actions: string[] | null;
}
interface OwnedKeyRow extends KeyRow {
  account: string;
  username: string;
  roles: string[];
  disabled: boolean;
  limits: Record<string, number>;
}

/** A role that this program does not know gives nothing. */
const knownRoles = (roles: readonly string[]): Role[] => ROLES.filter((role) => roles.includes(role));

const FIND_ACCOUNT = prepared<AccountRow>(
  'find_account',
  'SELECT a.*, strongroom.has_passkey(a.id) FROM strongroom.find_account($1) a',
);
const COUNT_ACCOUNTS = prepared<{ n: string }>('count_accounts', 'SELECT strongroom.count_accounts() AS n');
const FIND_PRINCIPAL = prepared<PrincipalRow>(
  'find_principal',
  // A session keeps its name while the token that opens it changes.
  `SELECT p.*, strongroom.has_passkey(p.subject)
   FROM strongroom.find_principal($1, CASE $1 WHEN 'session' THEN strongroom.session_of($2) ELSE $2 END) p`,
);
const LIST_KEYS = prepared<KeyRow>('list_keys', 'SELECT * FROM strongroom.list_keys($1)');
const LIST_ALL_KEYS = prepared<OwnedKeyRow>('list_all_keys', 'SELECT * FROM strongroom.list_all_keys()');

/** `secondFactorRoles`: roles whose accounts may do nothing before they have set up a second factor. */
export function postgresAccounts(pool: Queryable, secondFactorRoles: readonly Role[]): AccountStore {
  return {
    findAccount: async (username) => {
      const { rows } = await FIND_ACCOUNT(pool, username);
      return rows[0] ? accountOf(rows[0]) : null;
    },
    countAccounts: async () => {
      const { rows } = await COUNT_ACCOUNTS(pool);
      return Number(rows[0]?.n ?? 0);
    },
    findPrincipal: async (kind, ref) => {
      const { rows } = await FIND_PRINCIPAL(pool, kind, ref);
      return rows[0] ? principalOf(rows[0], kind, secondFactorRoles) : null;
    },
    listKeys: async (account) => {
      const { rows } = await LIST_KEYS(pool, account);
      return rows.map(keyOf);
    },
    listAllKeys: async () =>
      (await LIST_ALL_KEYS(pool)).rows.map((row) => ({
        ...keyOf(row),
        owner: { id: row.account, username: row.username, roles: knownRoles(row.roles), disabled: row.disabled },
        quota: row.limits,
      })),
  };
}

const keyOf = (row: KeyRow): ApiKeyRecord => ({
  id: row.id,
  name: row.name,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
  models: row.models,
  actions: row.actions,
});

const accountOf = (row: AccountRow): Account => ({
  id: row.id,
  username: row.username,
  passwordHash: row.password_hash,
  roles: knownRoles(row.roles),
  department: row.department,
  clearance: row.clearance,
  branch: row.branch,
  totpSecret: row.totp_secret,
  hasPasskey: row.has_passkey,
  epoch: Number(row.epoch),
});

/** Who has a factor of ours shows it at every sign-in of ours; a provider says whether it has asked for one. */
const hasShownTwo = ({ has_totp, has_passkey, factors }: PrincipalRow): boolean =>
  factors.includes(FACTORS.provider)
    ? [FACTORS.secondFactor, 'totp', 'passkey'].some((factor) => factors.includes(factor))
    : has_totp || has_passkey;

const principalOf = (
  row: PrincipalRow,
  kind: 'session' | 'api_key',
  secondFactorRoles: readonly Role[],
): Principal => ({
  subject: row.subject,
  username: row.username,
  roles: knownRoles(row.roles),
  attributes: {
    department: row.department,
    clearance: row.clearance,
    branch: row.branch,
    certifications: row.certifications,
  },
  credential: { kind, ref: row.credential },
  hasTotp: row.has_totp,
  hasPasskey: row.has_passkey,
  strength: kind === 'api_key' ? 'none' : strengthOf(row.factors),
  restricted: !hasShownTwo(row) && knownRoles(row.roles).some((role) => secondFactorRoles.includes(role)),
  mustChangePassword: row.factors.includes(PASSWORD_EXPIRED),
  scope: kind === 'api_key' ? { models: row.models, actions: row.actions } : null,
  epoch: Number(row.epoch),
  expiresAt: row.expires_at?.toISOString() ?? null,
});
