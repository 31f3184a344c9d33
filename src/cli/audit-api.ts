import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { unpackTar } from '#audit/tar.files.ts';
import { download, readSession, resultOf, send } from './client.ts';
import type { Invocation } from './verbs.ts';

type Options = Invocation['options'];

/** What an auditor may ask for; `--from` and `--to` are times here, within the seven days that his role sees. */
const FILTERS = ['from', 'to', 'actor', 'action', 'resource', 'outcome'] as const;

/**
 * `audit export --via-api`: what the signed-in auditor may see, taken over HTTPS and unpacked into a new folder; no
 * database login is needed. The server records who took what.
 */
export async function exportOverApi(folder: string, format: string, options: Options): Promise<number> {
  if (format === 'tiles')
    throw new Error('tiles hold the whole log, which nobody sees over the API: take jsonl or csv');
  const query = new URLSearchParams({ format });
  for (const name of FILTERS) {
    const value = options[name];
    if (value !== undefined) query.set(name, value);
  }
  if (options.request !== undefined) query.set('request_id', options.request);
  if ((await readdir(folder).catch(() => [])).length > 0) throw new Error(`${folder} is not empty`);
  await using answer = await download(await readSession(), `/audit/export?${query}`);
  // Half an export looks like one: it gets its name when it is whole.
  const target = resolve(folder);
  await mkdir(dirname(target), { recursive: true });
  const part = await mkdtemp(`${target}.`);
  try {
    const bytes = await unpackTar(answer.chunks, part);
    await rename(part, target);
    return bytes;
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** The same into a folder that is gone when `use` has ended. */
export async function withExportOverApi<T>(options: Options, use: (folder: string) => Promise<T>): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'strongroom-audit-'));
  try {
    const folder = join(parent, 'export');
    await exportOverApi(folder, 'jsonl', options);
    return await use(folder);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

/** `audit receipt REQUEST --via-api`: the receipt of a request of one's own, kept in `out` where that is given. */
export async function receiptOverApi(request: string, out: string | undefined): Promise<unknown> {
  const path = `/v1/receipts/${encodeURIComponent(request)}`;
  const receipt = resultOf(await send(await readSession(), 'GET', path));
  if (out !== undefined) await writeFile(out, `${JSON.stringify(receipt, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  return receipt;
}
