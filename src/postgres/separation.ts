import type { Client } from 'pg';
import { ROLES } from './roles.ts';

/**
 * `full`: the login that serves requests can neither read as an auditor nor sign, nor do the others' logins act as the
 * gateway. `reduced`: a login has several of these roles and takes them by SET ROLE.
 */
export type Separation = 'full' | 'reduced';

/** The database is set up in a way that promises 1, 4 or 5 could not be kept on. `faults` are sentences for the operator. */
export class UnsafeDatabase extends Error {
  override readonly name = 'UnsafeDatabase';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the database can't be used: ${faults.join('; ')}`);
    this.faults = faults;
  }
}

interface Standing {
  readonly version: number;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly login: string;
  readonly rolsuper: boolean;
  readonly rolbypassrls: boolean;
  readonly rolreplication: boolean;
  readonly owns_database: boolean;
  readonly owns_object: boolean;
  readonly memberships: readonly string[];
}

/** Predefined roles that reach past every grant and policy on our tables, or onto the server's files. */
const POWERFUL = [
  'pg_read_all_data',
  'pg_write_all_data',
  'pg_read_server_files',
  'pg_write_server_files',
  'pg_execute_server_program',
];

/** Roles that no login of a running gateway may have. */
const FORBIDDEN: readonly string[] = [ROLES.verifier, ROLES.keeper, ...POWERFUL];

/**
 * Checks a login that serves requests or auditors, over its own connection and before any SET ROLE. Asked of the
 * session's login, so a role taken meanwhile does not hide what can be taken back with RESET ROLE.
 *
 * @throws UnsafeDatabase with all faults at once.
 */
export async function checkRuntimeLogin(client: Pick<Client, 'query'>): Promise<{ separation: Separation }> {
  const { rows } = await client.query<Standing>(
    `SELECT current_setting('server_version_num')::int AS version,
            current_setting('fsync') AS fsync,
            current_setting('full_page_writes') AS full_page_writes,
            r.rolname AS login, r.rolsuper, r.rolbypassrls, r.rolreplication,
            EXISTS (SELECT FROM pg_database d
                     WHERE d.datname = current_database() AND pg_has_role(r.oid, d.datdba, 'MEMBER')) AS owns_database,
            EXISTS (SELECT FROM pg_namespace n
                     WHERE n.nspname = 'strongroom' AND pg_has_role(r.oid, n.nspowner, 'MEMBER')) AS owns_object,
            -- The names as text: a role that does not exist yet is an answer and not an error.
            ARRAY(SELECT g.rolname::text FROM pg_roles g
                   WHERE g.rolname = ANY ($1) AND pg_has_role(r.oid, g.oid, 'MEMBER')) AS memberships
       FROM pg_roles r
      WHERE r.rolname = session_user`,
    [[...Object.values(ROLES), ...POWERFUL]],
  );
  const standing = rows[0];
  if (standing === undefined) throw new UnsafeDatabase(['the login is not known to the server']);
  const faults = faultsOf(standing);
  if (faults.length > 0) throw new UnsafeDatabase(faults);
  const { memberships } = standing;
  const held = [ROLES.app, ROLES.auditor, ROLES.signer].filter((role) => memberships.includes(role));
  return { separation: held.length > 1 ? 'reduced' : 'full' };
}

function faultsOf(standing: Standing): string[] {
  const { login, memberships } = standing;
  const faults: string[] = [];
  if (standing.version < 160_000) faults.push('it is older than Postgres 16');
  if (standing.fsync !== 'on') faults.push('fsync is off, so a committed record could be lost');
  if (standing.full_page_writes !== 'on') faults.push('full_page_writes is off, so a crash could tear the log');
  if (standing.rolsuper) {
    // A superuser is a member of everything: the other sentences would only repeat this one.
    return [...faults, `the login ${login} is a superuser`];
  }
  if (standing.rolbypassrls) faults.push(`the login ${login} has BYPASSRLS`);
  if (standing.rolreplication) faults.push(`the login ${login} has REPLICATION`);
  if (standing.owns_database) faults.push(`the login ${login} owns the database`);
  if (standing.owns_object || memberships.includes(ROLES.owner)) {
    faults.push(`the login ${login} is the owner of the schema, or a member of the owner`);
  }
  for (const role of memberships.filter((name) => FORBIDDEN.includes(name))) {
    faults.push(`the login ${login} is a member of ${role}`);
  }
  return faults;
}
