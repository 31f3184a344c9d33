import { readFile } from 'node:fs/promises';
import type { Descriptor } from '#scoring/descriptor.shared.ts';
import { FRAME_TYPE } from '#scoring/frame.shared.ts';
import type { SecretSeal } from '#scoring/secret.shared.ts';
import { Client, readSession } from './client.ts';
import { progressBar } from './progress-bar.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const COLUMNS = [
  'id',
  'version',
  'active',
  'kind',
  'title',
  'classification',
  'sha256',
  'installed_by',
  'installed_at',
];

/** `scoring list`: every version of every score model. */
export async function listScoreModels({ json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const { data } = await new Client(await readSession(), terminal).call('GET', '/admin/scoring/models');
  printRows(data as Record<string, unknown>[], COLUMNS, json);
  return 0;
}

/** `scoring install FILE`: a score-model/1 document, or a regression in PMML that becomes one. */
export async function installScoreModel({ words, json, options }: Invocation): Promise<number> {
  const [file = ''] = words;
  const text = await readFile(file, 'utf8');
  const document: unknown = /^\s*</.test(text) ? await fromPmml(text, options) : JSON.parse(text);
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const installed = await client.call('POST', '/admin/scoring/models', {
    document,
    ...(options.classification === undefined ? {} : { classification: Number(options.classification) }),
  });
  const tested = installed['self_test'] as { max_error: number; cpu_us: Record<string, number> };
  const cost = Object.entries(tested.cpu_us).map(([mode, micros]) => `${mode} ${(micros / 1000).toFixed(1)} ms`);
  const row = { ...installed, largest_error: tested.max_error.toExponential(1), cpu: cost.join(', ') };
  printRows([row], ['id', 'version', 'sha256', 'largest_error', 'cpu'], json);
  return 0;
}

async function fromPmml(text: string, { id, title, version }: Invocation['options']): Promise<object> {
  if (id === undefined) throw new Error('a PMML file says no id of ours: give --id, and --title if you like');
  const { readPmml } = await import('#scoring/pmml.saxes.ts');
  return { schema: 'score-model/1', ...readPmml(text, { id, title: title ?? id, version: Number(version ?? 1) }) };
}

/** `scoring activate ID VERSION`, and `scoring retire ID`. */
export const activateScoreModel =
  (retire: boolean) =>
  async ({ words }: Invocation): Promise<number> => {
    const [id = '', version] = words;
    if (!retire && !/^\d+$/.test(version ?? '')) throw new Error('which version? `strongroom scoring list` shows them');
    using terminal = openTerminal();
    const client = new Client(await readSession(), terminal);
    const path = `/admin/scoring/models/${encodeURIComponent(id)}/activate`;
    await client.call('POST', path, { version: retire ? null : Number(version) });
    return 0;
  };

/** `scoring score MODEL FILE.csv`: encrypts here, prints customers and scores as CSV. The key ends with the command. */
export async function scoreFile({ words }: Invocation): Promise<number> {
  const [id = '', file = ''] = words;
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const descriptor = (await client.call('GET', `/v1/scoring/models/${encodeURIComponent(id)}`)) as never as Described;
  // Loaded here and nowhere else: a running gateway holds no code that could make or use a secret key.
  const [{ default: initialize }, { ScoringClient }, { readCustomers, writeScores }] = await Promise.all([
    import('node-seal'),
    import('#scoring/client.shared.ts'),
    import('#scoring/customers.shared.ts'),
  ]);
  const { names, rows } = readCustomers(
    await readFile(file, 'utf8'),
    descriptor.features.map(({ name }) => name),
  );
  const scorer = new ScoringClient((await initialize()) as unknown as SecretSeal, descriptor);
  const opened = await client.callBytes(`/v1/scoring/keys?model=${encodeURIComponent(id)}`, FRAME_TYPE, scorer.keys());
  const session = (JSON.parse(Buffer.from(opened).toString('utf8')) as { id: string }).id;
  const bar = progressBar('customers');
  const scores: number[] = [];
  for (let from = 0; from < rows.length; from += descriptor.batch_size) {
    const frame = scorer.encryptBatch(rows.slice(from, from + descriptor.batch_size), session);
    const result = await client.callBytes(
      `/v1/scoring/models/${encodeURIComponent(id)}/evaluate?mode=batch`,
      FRAME_TYPE,
      frame,
    );
    scores.push(...scorer.decrypt(result, 'batch'));
    bar.show(scores.length, rows.length);
  }
  bar.end();
  scorer.close();
  await client.call('DELETE', `/v1/scoring/keys/${session}`);
  process.stdout.write(writeScores(names, scores, descriptor.decimals));
  return 0;
}

type Described = Descriptor & { readonly batch_size: number };
