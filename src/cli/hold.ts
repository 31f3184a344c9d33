import { Client, readSession } from './client.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = ['id', 'actor', 'action', 'resource', 'request_id', 'from', 'to', 'reason', 'placed_at', 'released_at'];

/** `audit hold list`. */
export async function listHolds({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/admin/holds');
  printRows(data as Record<string, unknown>[], COLUMNS, json);
  return 0;
}

/** `audit hold add --reason TEXT …`: what is named must all match. */
export async function addHold({ options, json }: Invocation): Promise<number> {
  const { actor, action, resource, request, from, to, reason } = options;
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const hold = await client.call('POST', '/admin/holds', {
    actor,
    action,
    resource,
    request_id: request,
    from,
    to,
    reason,
  });
  process.stdout.write(json ? `${JSON.stringify(hold)}\n` : `Placed ${String(hold['id'])}.\n`);
  return 0;
}

/** `audit hold release ID --reason TEXT`. */
export async function releaseHold({ words, options, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const path = `/admin/holds/${encodeURIComponent(words[0] ?? '')}/release`;
  const hold = await client.call('POST', path, { reason: options.reason });
  process.stdout.write(json ? `${JSON.stringify(hold)}\n` : `Released ${String(hold['id'])}.\n`);
  return 0;
}
