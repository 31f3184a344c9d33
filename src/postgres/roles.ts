import { type Client, escapeIdentifier } from 'pg';
import { sqlStateOf } from './connection.ts';

/** Roles that nobody logs in with. Cluster-wide, shared by all databases of the cluster. */
export const ROLES = {
  /** Owns the schema and everything in it; migrations run as it. */
  owner: 'strongroom_owner',
  /** The gateway at run time. */
  app: 'strongroom_app',
  /** Auditors' reads. */
  auditor: 'strongroom_auditor',
  /** `strongroom audit verify` and `export`: reads the whole log. Never for a login that serves requests. */
  verifier: 'strongroom_verifier',
  /** Extends the tree and publishes checkpoints; the gateway takes it on a connection of its own. */
  signer: 'strongroom_signer',
  /** Drops old bodies, puts another key in force: a person at the command line. Never for a login that serves requests. */
  keeper: 'strongroom_keeper',
} as const;

export const SCHEMA = 'strongroom';

/** Logins that are granted roles. Where only one is given it gets both, and takes them by SET LOCAL ROLE. */
export interface Logins {
  readonly runtimeLogin?: string | undefined;
  readonly auditorLogin?: string | undefined;
  /** Without one the migration login verifies, by SET ROLE. */
  readonly verifierLogin?: string | undefined;
  /** Without one the runtime login signs, by SET ROLE. */
  readonly signerLogin?: string | undefined;
}

interface Grant {
  readonly role: string;
  readonly login: string;
  /** False: the rights only come with SET ROLE. */
  readonly inherit: boolean;
}

/** What the migration login may become, and has the rights of only then. */
const OF_THE_MIGRATOR = [ROLES.owner, ROLES.verifier, ROLES.keeper];

function grants({ runtimeLogin, auditorLogin, verifierLogin, signerLogin }: Logins): Grant[] {
  const app = runtimeLogin ?? auditorLogin;
  const auditor = auditorLogin ?? runtimeLogin;
  const verifier = verifierLogin === undefined ? [] : [{ role: ROLES.verifier, login: verifierLogin, inherit: false }];
  if (app === undefined || auditor === undefined) return verifier;
  return [
    ...verifier,
    { role: ROLES.app, login: app, inherit: true },
    { role: ROLES.signer, login: signerLogin ?? app, inherit: (signerLogin ?? app) !== app },
    { role: ROLES.auditor, login: auditor, inherit: app !== auditor },
  ];
}

const grantStatement = ({ role, login, inherit }: Grant): string =>
  `GRANT ${role} TO ${escapeIdentifier(login)} WITH SET TRUE, INHERIT ${inherit ? 'TRUE' : 'FALSE'}`;

/**
 * Makes the roles, memberships and the schema, as a login with CREATEROLE and CREATE on the database, not superuser.
 * What is there already, made by a DBA from {@link printRoles}, is left alone. Other databases of the cluster may do
 * the same at the same time.
 *
 * @throws Error with what a DBA must do where the login may not do it.
 */
export async function ensureRoles(client: Client, logins: Logins): Promise<void> {
  for (const role of Object.values(ROLES)) {
    if (!(await holds(client, 'SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS it', [role]))) {
      await clusterWide(client, `CREATE ROLE ${role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT`);
    }
  }
  // SET and not INHERIT: a connection of the migrator has the owner's rights inside a migration only.
  for (const role of OF_THE_MIGRATOR) {
    if (await holds(client, "SELECT pg_has_role(current_user, $1, 'SET') AS it", [role])) continue;
    await clusterWide(client, `GRANT ${role} TO CURRENT_USER WITH SET TRUE, INHERIT FALSE`);
  }
  for (const grant of grants(logins)) {
    if (!(await isGranted(client, grant))) await clusterWide(client, grantStatement(grant));
  }
  const { runtimeLogin, auditorLogin, signerLogin } = logins;
  for (const [role, other] of [
    [ROLES.auditor, auditorLogin],
    [ROLES.signer, signerLogin],
  ] as const) {
    if (runtimeLogin === undefined || other === undefined || runtimeLogin === other) continue;
    // Left from the time when one login did for both.
    if (await isGranted(client, { role, login: runtimeLogin })) {
      await clusterWide(client, `REVOKE ${role} FROM ${escapeIdentifier(runtimeLogin)}`);
    }
  }
  if (!(await holds(client, 'SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS it', [SCHEMA]))) {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA} AUTHORIZATION ${ROLES.owner}`);
  }
  await closePublicSchema(client);
}

async function isGranted(client: Client, { role, login }: Omit<Grant, 'inherit'>): Promise<boolean> {
  return holds(
    client,
    `SELECT EXISTS (
       SELECT FROM pg_auth_members
        WHERE roleid = (SELECT oid FROM pg_roles WHERE rolname = $1)
          AND member = (SELECT oid FROM pg_roles WHERE rolname = $2)
          AND set_option
     ) AS it`,
    [role, login],
  );
}

/**
 * Whoever may create in `public` can plant functions that others' statements find. Since Postgres 15 nobody may by
 * default, but a cluster that was upgraded keeps the old grant, and only the owner of the database can take it away.
 */
async function closePublicSchema(client: Client): Promise<void> {
  // `public` as a role name means PUBLIC, everybody. The schema itself may have been dropped.
  const isOpen =
    "SELECT COALESCE(bool_or(has_schema_privilege('public', oid, 'CREATE')), false) AS it FROM pg_namespace WHERE nspname = 'public'";
  if (!(await holds(client, isOpen))) return;
  await client.query('REVOKE ALL ON SCHEMA public FROM PUBLIC').catch((error: unknown) => {
    if (sqlStateOf(error) !== '42501') throw error;
  });
  if (await holds(client, isOpen)) {
    throw new Error(
      'anybody may create objects in schema public; have its owner run: REVOKE ALL ON SCHEMA public FROM PUBLIC',
    );
  }
}

/** Roles belong to the whole cluster, whose other databases have their own advisory locks: expect to collide. */
async function clusterWide(client: Client, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(statement);
      return;
    } catch (error) {
      const state = sqlStateOf(error);
      // duplicate_object, or unique_violation where both looked at the same moment: somebody else made it.
      if (state === '42710' || state === '23505') return;
      if (state === '42501') {
        throw new Error(
          'the migration login may not manage the roles; `strongroom db migrate --print-roles` gives the SQL for a DBA',
          {
            cause: error,
          },
        );
      }
      // XX000 is what "tuple concurrently updated" is reported as.
      if (!(state === 'XX000' || state === '40001' || state === '40P01') || attempt >= 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20 * attempt));
    }
  }
}

async function holds(client: Client, query: string, values: unknown[] = []): Promise<boolean> {
  const { rows } = await client.query<{ it: boolean }>(query, values);
  return rows[0]?.it === true;
}

export interface PrintedLogins {
  readonly database?: string;
  readonly migrateLogin?: string;
  readonly runtimeLogin?: string;
  readonly auditorLogin?: string;
  readonly signerLogin?: string;
}

/** The SQL that a DBA runs by hand, connected to the database, where the migration login may not create roles. */
export function printRoles(names: PrintedLogins = {}): string {
  const { database = 'strongroom', migrateLogin = 'strongroom_migrator', runtimeLogin = 'strongroom_runtime' } = names;
  const auditorLogin =
    names.auditorLogin ?? (names.runtimeLogin === undefined ? 'strongroom_auditor_login' : undefined);
  const signerLogin = names.signerLogin ?? (names.runtimeLogin === undefined ? 'strongroom_signer_login' : undefined);
  const others = [auditorLogin ?? runtimeLogin, signerLogin ?? runtimeLogin];
  const logins = [...new Set([migrateLogin, runtimeLogin, ...others])].map((name) => escapeIdentifier(name));
  const lines = [
    '-- Strongroom: roles and logins. Run once as an administrator, connected to the database.',
    '-- The logins themselves (CREATE ROLE … LOGIN PASSWORD …) are yours to make first.',
    ...Object.values(ROLES).map((role) => `CREATE ROLE ${role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT;`),
    ...OF_THE_MIGRATOR.map(
      (role) => `GRANT ${role} TO ${escapeIdentifier(migrateLogin)} WITH SET TRUE, INHERIT FALSE;`,
    ),
    ...grants({ runtimeLogin, auditorLogin, signerLogin }).map((grant) => `${grantStatement(grant)};`),
    `CREATE SCHEMA ${SCHEMA} AUTHORIZATION ${ROLES.owner};`,
    'REVOKE ALL ON SCHEMA public FROM PUBLIC;',
    `REVOKE ALL ON DATABASE ${escapeIdentifier(database)} FROM PUBLIC;`,
    `GRANT CONNECT ON DATABASE ${escapeIdentifier(database)} TO ${logins.join(', ')};`,
  ];
  return `${lines.join('\n')}\n`;
}
