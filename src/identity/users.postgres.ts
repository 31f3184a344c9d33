import { ROLES, type Role } from '#kernel/principal.ts';
import { prepared, type Queryable } from '#postgres/pool.ts';
import type { GuessLimiter, UserEntry, UserStore } from './users.ts';

interface AccountRow {
  id: string;
  username: string;
  roles: string[];
  department: string;
  clearance: number;
  branch: string;
  certifications: string[];
  has_password: boolean;
  has_totp: boolean;
  has_passkey: boolean;
  disabled: boolean;
  created_at: Date;
  last_sign_in_at: Date | null;
}
interface SessionRow {
  ref: string;
  factors: string[];
  created_at: Date;
  last_seen_at: Date;
  expires_at: Date;
}

const LIST_ACCOUNTS = prepared<AccountRow>(
  'list_accounts',
  'SELECT a.*, strongroom.has_passkey(a.id) FROM strongroom.list_accounts() a',
);
const ACTIVE_ADMINS = prepared<{ n: string }>('active_admins', 'SELECT strongroom.active_admins() AS n');
const FIND_ENROLMENT = prepared<{ id: string; username: string; roles: string[] }>(
  'find_enrolment',
  'SELECT * FROM strongroom.find_enrolment($1)',
);
const PENDING_TOTP = prepared<{ secret: Buffer | null }>(
  'pending_totp',
  'SELECT strongroom.pending_totp($1) AS secret',
);
const LIST_SESSIONS = prepared<SessionRow>('list_sessions', 'SELECT * FROM strongroom.list_sessions($1)');
const TAKE_GUESS = prepared<{ seconds: number }>('take_guess', 'SELECT strongroom.take_guess($1, $2) AS seconds');
const RETURN_GUESS = prepared('return_guess', 'SELECT strongroom.return_guess($1, $2)');
const CLEAR_GUESSES = prepared('clear_guesses', 'SELECT strongroom.clear_guesses($1, $2)');

const knownRoles = (roles: readonly string[]): Role[] => ROLES.filter((role) => roles.includes(role));

export function postgresUsers(pool: Queryable): UserStore {
  return {
    listAccounts: async () => (await LIST_ACCOUNTS(pool)).rows.map(entryOf),
    countActiveAdmins: async () => Number((await ACTIVE_ADMINS(pool)).rows[0]?.n ?? 0),
    findEnrolment: async (ref) => {
      const [row] = (await FIND_ENROLMENT(pool, ref)).rows;
      return row ? { ...row, roles: knownRoles(row.roles) } : null;
    },
    pendingTotp: async (account) => (await PENDING_TOTP(pool, account)).rows[0]?.secret ?? null,
    listSessions: async (account) =>
      (await LIST_SESSIONS(pool, account)).rows.map((row) => ({
        ref: row.ref,
        factors: row.factors,
        createdAt: row.created_at.toISOString(),
        lastSeenAt: row.last_seen_at.toISOString(),
        expiresAt: row.expires_at.toISOString(),
      })),
  };
}

const entryOf = (row: AccountRow): UserEntry => ({
  id: row.id,
  username: row.username,
  roles: knownRoles(row.roles),
  department: row.department,
  clearance: row.clearance,
  branch: row.branch,
  certifications: row.certifications,
  state: row.disabled ? 'disabled' : row.has_password ? 'active' : 'invited',
  hasTotp: row.has_totp,
  hasPasskey: row.has_passkey,
  createdAt: row.created_at.toISOString(),
  lastSignInAt: row.last_sign_in_at?.toISOString() ?? null,
});

/** Guesses are counted in the database, one row an account and device: exact over all replicas. */
export function postgresGuesses(pool: Queryable): GuessLimiter {
  return {
    take: async (what, device) => (await TAKE_GUESS(pool, what, device)).rows[0]?.seconds ?? 60,
    giveBack: async (what, device) => {
      await RETURN_GUESS(pool, what, device);
    },
    clear: async (what, device) => {
      await CLEAR_GUESSES(pool, what, device);
    },
  };
}
