import { QUOTA_KINDS } from '#quota/limit.ts';
import type { QuotaRecord } from '#quota/quota.contract.ts';
import { Client, readSession } from './client.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = ['scope', 'name', 'kind', 'amount', 'dry_run', 'raise', 'changed_at'];

const rowOf = (quota: QuotaRecord): Record<string, unknown> => ({
  ...quota,
  raise: quota.raise === null ? null : `${quota.raise.amount} until ${quota.raise.until}`,
});

/** `quota list`. */
export async function listQuotas({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/admin/quotas');
  printRows((data as QuotaRecord[]).map(rowOf), COLUMNS, json);
  return 0;
}

/** `quota set SCOPE --kind KIND --amount N …`: asks the code for this one operation. */
export async function setQuota({ words, options, json }: Invocation): Promise<number> {
  const { amount, raise, until } = options;
  if ((raise === undefined) !== (until === undefined)) throw new Error('--raise N and --until TIME go together');
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const quota = await client.call('PUT', await pathOf(client, words[0], options.kind), {
    amount: countOf('amount', amount),
    dry_run: options['dry-run'] === true,
    raise: raise === undefined ? null : { amount: countOf('raise', raise), until },
  });
  printRows([rowOf(quota as unknown as QuotaRecord)], COLUMNS, json);
  return 0;
}

/** `quota clear SCOPE --kind KIND`: whoever has no limit at all is refused. */
export async function clearQuota({ words, options, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  await client.call('DELETE', await pathOf(client, words[0], options.kind));
  if (json) process.stdout.write('{"ok":true}\n');
  return 0;
}

/** An account is named by its username here; the API knows it by its id. */
async function pathOf(client: Client, scope = '', kind = ''): Promise<string> {
  if (!(QUOTA_KINDS as readonly string[]).includes(kind)) throw new Error(`--kind is one of ${QUOTA_KINDS.join(', ')}`);
  const [, name] = /^user:(?!usr_)(.+)$/.exec(scope) ?? [];
  if (name === undefined) return `/admin/quotas/${encodeURIComponent(scope)}/${kind}`;
  const { data } = await client.call('GET', '/admin/users');
  const found = (data as { id: string; username: string }[]).find(({ username }) => username === name);
  if (found === undefined) throw new Error(`there is no account ${name}`);
  return `/admin/quotas/${encodeURIComponent(`user:${found.id}`)}/${kind}`;
}

function countOf(name: string, text: string | undefined): number {
  if (text === undefined || !/^\d{1,13}$/.test(text)) throw new Error(`--${name} takes a whole number`);
  return Number(text);
}
