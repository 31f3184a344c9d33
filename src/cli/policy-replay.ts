import { compilePolicy } from '#access/access.casbin.ts';
import type { ReplayResult } from '#access/policies.contract.ts';
import { type ChangedDecision, Replay } from '#access/replay.ts';
import { openExport } from '#audit/log-source.files.ts';
import { loadConfig } from '#config/load.ts';
import { siteOf } from '#gateway-access.ts';
import { Client, readSession } from './client.ts';
import { type Draft, readDraft } from './policy-folder.ts';
import { printRows } from './table.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

const MOST_EXAMPLES = 200;
const DAY_MS = 24 * 3600 * 1000;
const COLUMNS = ['seq', 'at', 'actor', 'action', 'resource', 'before', 'rule_before', 'after', 'rule_after'];

interface Totals {
  decisions: number;
  changed: number;
  unreadable: number;
  readonly examples: ChangedDecision[];
}

/** `policy replay --draft FOLDER`: through the API as an auditor, or offline from an export. Exit code 1 where it differs. */
export async function replayDraft({ options, json }: Invocation): Promise<number> {
  if (options.draft === undefined)
    throw new Error('usage: strongroom policy replay --draft FOLDER [--days N] [--export DIR]');
  const days = Number(options.days ?? 7);
  if (!Number.isInteger(days) || days < 1) throw new Error('--days takes a whole number');
  const draft = await readDraft(options.draft);
  const folder = options.export;
  const totals = folder === undefined ? await replayOverApi(draft, days) : await replayExport(draft, days, folder);
  const { decisions, changed, unreadable, examples } = totals;
  if (json) process.stdout.write(`${JSON.stringify(totals)}\n`);
  else {
    if (examples.length > 0)
      printRows(
        examples.map((one) => ({ ...one })),
        COLUMNS,
        false,
      );
    process.stdout.write(`Of ${decisions} decisions the draft changes ${changed}.\n`);
    if (unreadable > 0)
      process.stdout.write(`${unreadable} are of an older release, which kept too little to ask them again.\n`);
  }
  return changed === 0 ? 0 : 1;
}

async function replayOverApi({ model, policy }: Draft, days: number): Promise<Totals> {
  using terminal = openTerminal();
  const client = new Client(await readSession(), terminal);
  const totals: Totals = { decisions: 0, changed: 0, unreadable: 0, examples: [] };
  let cursor: string | null = null;
  do {
    const body = { model, policy, days, ...(cursor === null ? {} : { cursor }) };
    const part = (await client.call('POST', '/audit/policies/replay', body)) as unknown as ReplayResult;
    totals.decisions += part.decisions;
    totals.changed += part.changed;
    totals.unreadable += part.unreadable;
    totals.examples.push(...part.examples.slice(0, MOST_EXAMPLES - totals.examples.length));
    cursor = part.next_cursor;
  } while (cursor !== null);
  return totals;
}

/** The days count back from the last record of the export. */
async function replayExport(draft: Draft, days: number, folder: string): Promise<Totals> {
  const { source } = await openExport(folder);
  if (source === null) throw new Error('a CSV export holds no records to ask again: export as jsonl or tiles');
  const engine = await compilePolicy({ ...draft, version: 0, sha256: '' }, siteOf(loadConfig().config));
  const replay = new Replay(engine, MOST_EXAMPLES);
  const { first, end, tree } = await source.extent();
  let last = 0;
  for await (const { rows } of source.pages(Math.max(first, end - 1), end, tree))
    for (const { record } of rows) last = Math.max(last, record === null ? 0 : Date.parse(JSON.parse(record).at));
  for await (const { rows } of source.pages(first, end, tree)) {
    for (const { seq, record } of rows) {
      if (record === null) continue;
      const { at, event } = JSON.parse(record) as { at: string; event: Record<string, unknown> };
      if (Date.parse(at) < last - days * DAY_MS) continue;
      const text = (name: string): string => String(event[name] ?? '');
      const [kind, actor, action, resource] = [text('kind'), text('actor'), text('action'), text('resource')];
      replay.take({ seq: String(seq), at, kind, actor, action, resource, event });
    }
  }
  return replay;
}
