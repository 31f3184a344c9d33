import { Client, readSession } from './client.ts';
import { wholeNumber } from './number.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = ['id', 'name', 'models', 'actions', 'created_at', 'expires_at', 'last_used_at'];
const listOf = (text: string | undefined): string[] | undefined => text?.split(',').map((one) => one.trim());

interface SignedIn {
  readonly has_totp: boolean;
  readonly has_passkey: boolean;
  readonly roles: readonly string[];
}
interface Named {
  readonly id: string;
  readonly username: string;
}

/** `key create NAME [--for ACCOUNT] …`: the key is printed once. */
export async function createKey({ words, options, json }: Invocation): Promise<number> {
  const scope = {
    name: words[0],
    models: listOf(options.models),
    actions: listOf(options.actions),
    expires_in_days: wholeNumber(options.days, 'days'),
    limits: limitsOf(options.limits),
  };
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const made =
    options.for === undefined
      ? await client.call('POST', '/auth/keys', { ...scope, ...(await passwordOf(client, terminal)) })
      : await client.call('POST', '/admin/keys', { ...scope, account: await accountNamed(client, options.for) });
  if (json) process.stdout.write(`${JSON.stringify(made)}\n`);
  else process.stdout.write(`${String(made['key'])}\nKeep it: it is not shown again.\n`);
  return 0;
}

/** Whoever has no second factor gives the password instead. */
async function passwordOf(client: Client, terminal: ReturnType<typeof openTerminal>): Promise<{ password?: string }> {
  const { has_totp: hasTotp, has_passkey: hasPasskey } = await signedIn(client);
  return hasTotp || hasPasskey ? {} : { password: await terminal.askSecret('Your password: ') };
}

async function signedIn(client: Client): Promise<SignedIn> {
  return (await client.call('GET', '/auth/session'))['user'] as SignedIn;
}

async function accountNamed(client: Client, name: string): Promise<string> {
  const { data } = await client.call('GET', '/admin/users');
  const account = (data as Named[]).find(({ username, id }) => username === name || id === name);
  if (account === undefined) throw new Error(`there is no user ${name}`);
  return account.id;
}

/** `requests_day=100,tokens_day=5000` */
function limitsOf(text: string | undefined): Record<string, number> | undefined {
  const pairs = listOf(text)?.map((one) => one.split('=', 2));
  return (
    pairs && Object.fromEntries(pairs.map(([kind = '', amount = '']) => [kind, wholeNumber(amount, 'limits') ?? 0]))
  );
}

/** `key list [--all]`. */
export async function listKeys({ options, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const { data } = await client.call('GET', options.all === true ? '/admin/keys' : '/auth/keys');
  const rows = data as Record<string, unknown>[];
  if (options.all !== true || json) printRows(rows, COLUMNS, json);
  else
    printRows(
      rows.map((row) => ({ ...row, owner: (row['owner'] as Named).username })),
      ['owner', ...COLUMNS],
      false,
    );
  return 0;
}

/** `key revoke ID`: one's own; an admin, with a code, anybody's. */
export async function revokeKey({ words, json }: Invocation): Promise<number> {
  const [id = ''] = words;
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const { data } = await client.call('GET', '/auth/keys');
  const isOwn = (data as Named[]).some((key) => key.id === id);
  const any = !isOwn && (await signedIn(client)).roles.includes('admin');
  await client.call('DELETE', `/${any ? 'admin' : 'auth'}/keys/${encodeURIComponent(id)}`);
  process.stdout.write(json ? '{"ok":true}\n' : 'Revoked on every replica.\n');
  return 0;
}
