import { readFile } from 'node:fs/promises';
import { exportLog } from '#audit/export.files.ts';
import { KeyRing } from '#audit/key-ring.shared.ts';
import { openExport } from '#audit/log-source.files.ts';
import type { LogSource } from '#audit/log-source.ts';
import type { Manifest } from '#audit/manifest.ts';
import { formatVerifierKey } from '#audit/note.shared.ts';
import { nodeCrypto, sha256 } from '#audit/note-crypto.node.ts';
import { type Check, type ReceiptTexts, verifyReceipt } from '#audit/receipt.shared.ts';
import { sentAnswer, sentPrompt } from '#audit/receipt-texts.shared.ts';
import { type SelectionResult, verifySelection } from '#audit/selection.files.ts';
import { type VerifyDeps, type VerifyResult, verifyLog } from '#audit/verify.service.ts';
import { loadConfig } from '#config/load.ts';
import { exportOverApi, receiptOverApi, withExportOverApi } from './audit-api.ts';
import { type FoundKey, findKey, keyOf, localSigner, openLog } from './audit-log.ts';
import { recordUse } from './audit-use.ts';
import { progressBar } from './progress-bar.ts';
import type { Invocation } from './verbs.ts';

/** `audit verify`: exit code 1 where anything is wrong. */
export async function verifyCommand({ json, options }: Invocation): Promise<number> {
  const folder = options['export'];
  if (folder !== undefined) return verifyFolder(folder, json, options);
  if (options['via-api'] === true) {
    if (options['key'] === undefined) throw new Error(KEY_NEEDED);
    const { from: _from, to: _to, ...rest } = options;
    return withExportOverApi(options, (taken) => verifyFolder(taken, json, rest));
  }
  await using log = await openLog();
  const found = await findKey(options['key'], log.loaded, log.source);
  const remembered = log.remembered !== null && log.remembered.origin === found.key?.name ? [log.remembered] : [];
  return await verifySource(log.source, found, json, options, remembered);
}

const KEY_NEEDED = 'an export is verified with --key FILE|KEY';

/** Without any database, and with the key alone. */
async function verifyFolder(folder: string, json: boolean, options: Invocation['options']): Promise<number> {
  const given = options['key'];
  if (given === undefined) throw new Error(KEY_NEEDED);
  const found = await findKey(given, null, null);
  const { manifest, source, faults } = await openExport(folder);
  const wrong = found.key === null ? [] : await faults(found.key);
  if (!manifest.signed) process.stderr.write('The manifest is not signed; the checkpoint speaks for the records.\n');
  for (const fault of wrong) process.stderr.write(`FAULT: ${fault}\n`);
  if (manifest.filter !== undefined && manifest.format === 'jsonl' && found.key !== null) {
    const bar = progressBar('verified');
    const result = await verifySelection(folder, manifest, found.key, bar.show);
    bar.end();
    if (json)
      process.stdout.write(`${JSON.stringify({ ...result, ok: result.ok && wrong.length === 0, faults: wrong })}\n`);
    else process.stdout.write(saySelection(result, manifest));
    return result.ok && wrong.length === 0 ? 0 : 1;
  }
  if (source === null) {
    const { records, from, to } = manifest;
    if (json) process.stdout.write(`${JSON.stringify({ ok: wrong.length === 0, records, from, to, faults: wrong })}\n`);
    else
      process.stdout.write(
        `A CSV of ${records} records: only its files were checked. Proofs come with jsonl and tiles.\n`,
      );
    return wrong.length === 0 ? 0 : 1;
  }
  return Math.max(wrong.length === 0 ? 0 : 1, await verifySource(source, found, json, options, []));
}

function saySelection({ records, first, findings }: SelectionResult, { filter = {}, from, to }: Manifest): string {
  const asked = Object.entries(filter).map(([name, value]) => `${name}=${value}`);
  const lines = [
    `Verified ${counted(records, 'record')}${range(from, to)}, selected by ${asked.join(' ')}: each is proven to be in the log.`,
    'That no other record matches is what the signed manifest says; only an export without a filter proves it.',
  ];
  if (first === null) return `${lines.join('\n')}\nNothing is wrong.\n`;
  return `FAULTS. The first is at seq ${places(first)}: ${first.detail}.\n${findings
    .slice(0, 50)
    .map((one) => `  ${places(one)}  ${one.detail}\n`)
    .join('')}`;
}

async function verifySource(
  source: LogSource,
  found: FoundKey,
  json: boolean,
  options: Invocation['options'],
  remembered: NonNullable<VerifyDeps['remembered']>,
): Promise<number> {
  const bar = progressBar('verified');
  const startedAt = performance.now();
  const deps = { source, crypto: nodeCrypto, key: found.key, remembered, progress: bar.show };
  const result = await verifyLog(deps, rangeOf(options));
  bar.end();
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  if (json) process.stdout.write(`${JSON.stringify({ ...result, key: found.text, keyFrom: found.from, seconds })}\n`);
  else process.stdout.write(sayResult(result, found, source.name, seconds));
  return result.ok ? 0 : 1;
}

function sayResult(result: VerifyResult, key: FoundKey, name: string, seconds: number): string {
  const { records, from, to, checkpoints, unsigned, open, openCount, first, findings, findingCount } = result;
  const lines = [
    `Verified ${counted(records, 'record')} of ${name}${range(from, to)} and ${counted(checkpoints, 'checkpoint')} in ${seconds} s.`,
  ];
  if (key.from === 'database') {
    lines.push('The key was taken from the database itself: give one with --key to be sure against who writes there.');
  }
  if (key.key === null) lines.push('No key was given: signatures were not checked.');
  for (const { from: first, to: end, by, at } of result.dropped) {
    lines.push(
      `Bodies of seq ${first} to ${end - 1} were dropped on record (seq ${by}, ${at}); their leaves are in the tree.`,
    );
  }
  if (unsigned > 0 && first === null)
    lines.push(`${unsigned} of them come after the last checkpoint and are not signed yet.`);
  if (openCount > 0) {
    lines.push(
      `${openCount} requests have no outcome yet: seq ${open.slice(0, 20).join(', ')}${openCount > 20 ? ', …' : ''}.`,
    );
  }
  if (first === null) lines.push('Nothing is wrong.');
  else {
    lines.push('', `${findingCount} FAULTS. The first is at seq ${places(first)}: ${first.detail}.`);
    for (const one of findings.slice(0, 50)) lines.push(`  ${places(one)}  ${one.kind}: ${one.detail}`);
    if (findingCount > 50) lines.push(`  and ${findingCount - Math.min(50, findings.length)} more`);
  }
  return `${lines.join('\n')}\n`;
}

const counted = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? '' : 's'}`;
const range = (from: number, to: number): string => (to > from ? ` (seq ${from} to ${to - 1})` : '');
const places = ({ seq, to }: { seq: number; to: number }): string => (to > seq ? `${seq} to ${to}` : `${seq}`);

/** `--from` and `--to`, as seqs; `to` is not included. */
export function rangeOf(options: Invocation['options']): { from: number | undefined; to: number | undefined } {
  const read = (name: 'from' | 'to') => {
    const text = options[name];
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw new Error(`--${name} takes a seq`);
    return Number(text);
  };
  const [from, to] = [read('from'), read('to')];
  if (from !== undefined && to !== undefined && from > to) throw new Error('--from is after --to');
  return { from, to };
}

/** `audit export`: into a new folder; exit code 0 says that it was written, not that it is sound: verify it. */
export async function exportCommand({ json, options }: Invocation): Promise<number> {
  const { tiles } = options;
  const isBoth = tiles !== undefined && (options.format ?? options.out) !== undefined;
  const { format, out } = tiles === undefined ? options : { format: 'tiles', out: tiles };
  if (isBoth || out === undefined || (format !== 'jsonl' && format !== 'csv' && format !== 'tiles')) {
    throw new Error(
      'usage: strongroom audit export --format jsonl|csv|tiles --out DIR | --tiles DIR [--from SEQ] [--to SEQ]',
    );
  }
  if (options['via-api'] === true) {
    const bytes = await exportOverApi(out, format, options);
    process.stdout.write(json ? `${JSON.stringify({ ok: true, bytes, out })}\n` : `Took ${bytes} bytes to ${out}.\n`);
    return 0;
  }
  const asked = rangeOf(options);
  await recordUse('audit.export', { format, from: asked.from ?? null, to: asked.to ?? null });
  await using log = await openLog();
  const signer = await localSigner(log.loaded);
  const bar = progressBar('exported');
  const { origin } = log.loaded.config.audit;
  const manifest = await exportLog({
    source: log.source,
    folder: out,
    format,
    ...asked,
    origin,
    signer,
    progress: bar.show,
  });
  bar.end();
  const { records, from, to, signed } = manifest;
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, records, from, to, signed, out })}\n`);
  else {
    process.stdout.write(`Wrote ${counted(records, 'record')}${range(from, to)} to ${out}.\n`);
    if (!signed)
      process.stdout.write('The manifest is not signed: the key that signs checkpoints is not on this machine.\n');
  }
  return 0;
}

/**
 * `audit key`: what whoever verifies must be given, by another way than with what he verifies. The one in force comes
 * first; those before it verify what they signed, and lead to it.
 */
export async function keyCommand({ json }: Invocation): Promise<number> {
  const local = await findKey(undefined, loadConfig(), null);
  await using log = await openLog().catch((error: unknown) => {
    if (local.key === null) throw error;
    return null;
  });
  const found = local.key === null ? await findKey(undefined, null, log?.source ?? null) : local;
  if (found.key === null) throw new Error('this log has no key yet: it is made when the gateway first starts');
  const { periods } = await KeyRing.open(nodeCrypto, found.key, (await log?.source.rotations()) ?? []);
  const keys = await Promise.all(
    [...periods].reverse().map(async ({ key, after, until }) => ({
      key: await formatVerifierKey(sha256, key),
      after,
      until,
    })),
  );
  const said = keys.map(({ key, after, until }) =>
    keys.length === 1 ? key : `${key} of checkpoints larger than ${after}${until === null ? '' : `, up to ${until}`}`,
  );
  process.stdout.write(
    json ? `${JSON.stringify({ ok: true, key: keys[0]?.key, from: found.from, keys })}\n` : `${said.join('\n')}\n`,
  );
  return 0;
}

/** `audit receipt FILE`: offline, with the verifier key alone. `--via-api` takes it from the gateway first. */
export async function receiptCommand({ words, json, options }: Invocation): Promise<number> {
  const [file] = words;
  const given = options['key'];
  if (file === undefined || given === undefined) {
    throw new Error(
      'usage: strongroom audit receipt FILE|REQUEST --key FILE|KEY [--prompt FILE] [--answer FILE] [--promise FILE] [--via-api]',
    );
  }
  const key = await formatVerifierKey(sha256, await keyOf(given));
  const receipt =
    options['via-api'] === true ? await receiptOverApi(file, options.out) : parseJson(await readFile(file, 'utf8'));
  const checks = await verifyReceipt(nodeCrypto, receipt, key, await textsOf(options));
  const ok = checks.every((check) => check.ok);
  if (json)
    process.stdout.write(
      `${JSON.stringify({ ok, checks: checks.map(({ name, ok: good, detail }) => ({ name, ok: good, detail })) })}\n`,
    );
  else process.stdout.write(sayChecks(checks, ok));
  return ok ? 0 : 1;
}

function sayChecks(checks: readonly Check[], ok: boolean): string {
  const lines = checks.map(
    ({ name, ok: good, detail }) => `  ${good ? 'ok   ' : 'WRONG'}  ${name.padEnd(18)}${detail}`,
  );
  for (const name of ['prompt', 'answer', 'promise']) {
    if (!checks.some((check) => check.name === name)) lines.push(`  -      ${name.padEnd(18)}not given, not checked`);
  }
  return `${lines.join('\n')}\n${ok ? 'The receipt is good.' : 'THE RECEIPT IS NOT GOOD.'}\n`;
}

/** Request and answer as they went over the wire, or bare texts. */
async function textsOf(options: Invocation['options']): Promise<ReceiptTexts> {
  const { prompt, answer, promise } = options;
  const sent = prompt === undefined ? undefined : sentPrompt(await readFile(prompt, 'utf8'));
  if (sent === null) throw new Error('the prompt holds a message without text');
  return {
    ...(sent === undefined ? {} : { prompt: sent }),
    ...(answer === undefined ? {} : { answer: sentAnswer(await readFile(answer, 'utf8')) }),
    ...(promise === undefined ? {} : { promise: promiseOf(await readFile(promise, 'utf8')) }),
  };
}

/** The header as it came, a stream's comment, or the bare line. */
const promiseOf = (text: string): string => /\bv[12] [!-~]+(?: [!-~]+){4,6}/.exec(text)?.[0] ?? text.trim();

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
