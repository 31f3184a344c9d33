import type { ModelVerb } from '#models/model-state.ts';
import type { AdminModelList } from '#models/models.contract.ts';
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

const look = async (): Promise<AdminModelList> => {
  using terminal = openTerminal();
  return (await new Client(await readSession(), terminal).call('GET', '/admin/models')) as unknown as AdminModelList;
};

/** `model list`: on the gateway that answers. */
export async function listModels({ json }: Invocation): Promise<number> {
  printRows((await look()).data, COLUMNS, json);
  return 0;
}

/** `model status`: on every gateway. Exit code 1 where they do not offer the same. */
export async function showModels({ json }: Invocation): Promise<number> {
  const { instance, data, replicas } = await look();
  const rows = [{ instance, report: { data } }, ...replicas].flatMap(({ instance: replica, report }) =>
    report === null ? [{ replica, state: 'of another release' }] : report.data.map((model) => ({ replica, ...model })),
  );
  printRows(rows, ['replica', ...COLUMNS], json);
  const others = replicas.filter(({ catalogue }) => catalogue === 'differs').map((one) => one.instance);
  if (others.length === 0) return 0;
  process.stderr.write(`These do not offer what ${instance} does, or not with the same files: ${others.join(', ')}\n`);
  return 1;
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
