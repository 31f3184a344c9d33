import { ROLES } from '#kernel/principal.ts';
import type { Queryable } from '#postgres/pool.ts';
import type { PolicyText } from './access.ts';
import type { PolicyStore } from './policies.ts';

interface TextRow {
  version: string;
  model: string;
  policy: string;
  sha256: string;
}
interface VersionRow {
  version: string;
  sha256: string;
  created_by: string;
  created_at: Date;
  reason: string;
  restored: string | null;
}
interface AccountRow {
  id: string;
  username: string;
  roles: string[];
  department: string;
  clearance: number;
  branch: string;
  certifications: string[];
  has_factor: boolean;
}

const textOf = ([row]: readonly TextRow[]): PolicyText | null =>
  row ? { ...row, version: Number(row.version) } : null;

/** The policy with the highest number, or null in a database that has none yet. */
export async function currentPolicy(pool: Queryable): Promise<PolicyText | null> {
  const { rows } = await pool.query<TextRow>('SELECT version, model, policy, sha256 FROM strongroom.current_policy()');
  return textOf(rows);
}

export function postgresPolicies(pool: Queryable): PolicyStore {
  return {
    current: () => currentPolicy(pool),
    list: async () => {
      const { rows } = await pool.query<VersionRow>('SELECT * FROM strongroom.list_policies()');
      return rows.map((row) => ({
        version: Number(row.version),
        sha256: row.sha256,
        createdBy: row.created_by,
        createdAt: row.created_at.toISOString(),
        reason: row.reason,
        restored: row.restored === null ? null : Number(row.restored),
      }));
    },
    find: async (version) => {
      const { rows } = await pool.query<TextRow>('SELECT * FROM strongroom.find_policy($1)', [version]);
      return textOf(rows);
    },
    accounts: async () => {
      const { rows } = await pool.query<AccountRow>('SELECT * FROM strongroom.policy_accounts()');
      return rows.map(({ id, username, roles, department, clearance, branch, certifications, has_factor }) => ({
        id,
        username,
        // A role that this program does not know gives nothing.
        roles: ROLES.filter((role) => roles.includes(role)),
        attributes: { department, clearance, branch, certifications },
        hasFactor: has_factor,
      }));
    },
  };
}
