import type { ModelVerb } from '#models/model-state.ts';
import { Client, readSession } from './client.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = [
  'id',
  'engine',
  'state',
  'in_service',
  'pinned',
  'busy',
  'slots',
  'queued',
  'restarts',
  'classification',
];

/** `model list`, `model status`. */
export async function listModels({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/admin/models');
  printRows(data as Record<string, unknown>[], COLUMNS, json);
  return 0;
}

/** `model load|unload|pin|unpin ID`: asks the code for this one operation. */
export const changeModel =
  (verb: ModelVerb) =>
  async ({ words, json }: Invocation): Promise<number> => {
    using terminal = openTerminal();
    const client = new Client(await readSession(), terminal);
    const model = await client.call('POST', `/admin/models/${encodeURIComponent(words[0] ?? '')}/${verb}`);
    printRows([model], COLUMNS, json);
    return 0;
  };
