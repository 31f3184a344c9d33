import { userInfo } from 'node:os';
import { SYSTEM } from '#audit/event.ts';
import { loadConfig } from '#config/load.ts';
import { NewUser } from '#identity/users.contract.ts';
import { postgresUsers } from '#identity/users.postgres.ts';
import { Users } from '#identity/users.service.ts';
import { Client, defaultServer, readSession } from './client.ts';
import { openDirect } from './direct-record.ts';
import { wholeNumber } from './number.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = [
  'username',
  'roles',
  'department',
  'clearance',
  'branch',
  'certifications',
  'state',
  'has_totp',
  'has_passkey',
  'last_sign_in_at',
  'id',
];

interface User {
  readonly id: string;
  readonly username: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** `user list`. */
export async function listUsers({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/admin/users');
  printRows(
    (data as User[]).map((user) => ({ ...user, ...user.attributes })),
    COLUMNS,
    json,
  );
  return 0;
}

/** `user add NAME --role ROLE …`: prints the one-use link by which the user chooses a password. */
export async function addUser(invocation: Invocation): Promise<number> {
  const { options, json } = invocation;
  const body = bodyOf(invocation);
  const emergency = options['break-glass'];
  const session = emergency === undefined ? await readSession().catch(() => null) : null;
  if (session === null && body.roles.includes('admin')) {
    return printLink(await addAdminDirectly(body, emergency), body.username, json);
  }
  using terminal = openTerminal();
  const client = new Client(session ?? (await readSession()), terminal);
  const { enrolment } = await client.call('POST', '/admin/users', body);
  if (enrolment !== null) return printLink((enrolment as { url: string }).url, body.username, json);
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, username: body.username, url: null })}\n`);
  else process.stdout.write(`Made. Give it a key: strongroom key create NAME --for ${body.username}\n`);
  return 0;
}

/** @throws Error with a sentence for whoever typed it */
function bodyOf({ words, options }: Invocation): NewUser {
  if (options.role === undefined) throw new Error('--role is needed: admin, analyst, auditor or service');
  const { success, data, error } = NewUser.safeParse({
    username: words[0],
    roles: options.role,
    department: options.department,
    branch: options.branch,
    certifications: options.certification,
    clearance: wholeNumber(options.clearance, 'clearance'),
  });
  if (success) return data;
  const faults = error.issues.map(
    ({ path, message }) => `${SWITCHES[String(path[0])] ?? `--${String(path[0])}`}: ${message}`,
  );
  throw new Error([...new Set(faults)].join('; '));
}

const SWITCHES: Readonly<Record<string, string>> = { username: 'NAME', roles: '--role' };

function printLink(url: string, username: string, json: boolean): number {
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, username, url })}\n`);
  else process.stdout.write(`${username} chooses a password at this link, once, within 24 hours:\n${url}\n`);
  return 0;
}

/**
 * Straight to the database: for the first admin, or with --break-glass REASON when the admins can't be reached.
 * On the record with the operating system's user.
 *
 * @throws Error where there is an admin who can do it over the API
 */
async function addAdminDirectly(body: NewUser, reason: string | undefined): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const { pool, recorder } = await openDirect(stack, loadConfig());
  const store = postgresUsers(pool);
  if (reason === undefined && (await store.countActiveAdmins()) > 0) {
    throw new Error('there is an admin already: sign in with `strongroom login`, or give --break-glass REASON');
  }
  const users = new Users({ store, recorder, portalUrl: () => defaultServer().url });
  const facts = {
    os_user: userInfo().username,
    door: reason === undefined ? 'first admin' : `break-glass: ${reason.slice(0, 200)}`,
  };
  const { link } = await users.invite(body, { id: SYSTEM, requestId: null, facts });
  if (link === null) throw new Error('a service account has no link');
  return link.url;
}

/** `user disable|enable|reset|erase NAME`. */
export const changeUser =
  (verb: 'disable' | 'enable' | 'reset' | 'erase') =>
  async ({ words, json }: Invocation): Promise<number> => {
    using terminal = openTerminal();
    const client = new Client(await readSession(), terminal);
    const { data } = await client.call('GET', '/admin/users');
    const user = (data as User[]).find(({ username, id }) => username === words[0] || id === words[0]);
    if (user === undefined) throw new Error(`there is no user ${words[0] ?? ''}`);
    const result = await client.call('POST', `/admin/users/${user.id}/${verb}`);
    if (verb === 'reset') return printLink((result['enrolment'] as { url: string }).url, user.username, json);
    const state = verb === 'erase' ? `erased; the log shows ${user.id}` : String(result['state']);
    const answer = verb === 'erase' ? { ok: true, id: user.id } : result;
    process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${user.username} is ${state}.\n`);
    return 0;
  };
