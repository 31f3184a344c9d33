import { Client, readSession } from './client.ts';
import type { Invocation } from './command.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';

const COLUMNS = ['id', 'name', 'models', 'actions', 'created_at', 'expires_at', 'last_used_at'];
const listOf = (text: string | undefined): string[] | undefined => text?.split(',').map((one) => one.trim());

/** `key create NAME [--days N] [--models a,b] [--actions infer]`: the key is printed once. */
export async function createKey({ words, options, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const session = await readSession();
  const client = new Client(session, terminal);
  const { user } = await client.call('GET', '/auth/session');
  const { has_totp: hasTotp, has_passkey: hasPasskey } = user as { has_totp: boolean; has_passkey: boolean };
  const made = await client.call('POST', '/auth/keys', {
    name: words[0],
    models: listOf(options.models),
    actions: listOf(options.actions),
    ...(options.days === undefined ? {} : { expires_in_days: Number(options.days) }),
    ...(hasTotp || hasPasskey ? {} : { password: await terminal.askSecret('Your password: ') }),
  });
  if (json) process.stdout.write(`${JSON.stringify(made)}\n`);
  else process.stdout.write(`${String(made['key'])}\nKeep it: it is not shown again.\n`);
  return 0;
}

/** `key list`. */
export async function listKeys({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/auth/keys');
  printRows(data as Record<string, unknown>[], COLUMNS, json);
  return 0;
}

/** `key revoke ID`. */
export async function revokeKey({ words, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  await new Client(await readSession(), terminal).call('DELETE', `/auth/keys/${encodeURIComponent(words[0] ?? '')}`);
  process.stdout.write(json ? '{"ok":true}\n' : 'Revoked on every replica.\n');
  return 0;
}
