import { stat } from 'node:fs/promises';
import { loadConfig } from '#config/load.ts';
import { digestOf } from '#doctor/machine.system.ts';
import { readAdapter, readDraft, readHeader } from '#engine/gguf-file.files.ts';
import { type ApprovedFile, filesOf, type LlamaModelSpec } from '#engine/model-spec.ts';
import { localSpecs } from '#gateway-engines.ts';
import { sha256Hex } from '#kernel/id.ts';
import { type ProgressBar, progressBar } from './progress-bar.ts';
import { printRows } from './table.ts';
import type { Invocation } from './verbs.ts';

/** One file of the catalogue, as it lies on this machine. */
type FileRow = {
  readonly model: string;
  readonly part: 'weights' | 'adapter' | 'draft' | 'template';
  readonly file: string;
  readonly sha256: string | null;
  readonly ok: boolean;
  readonly fault: string | null;
};

const MEBIBYTE = 2 ** 20;

/**
 * `model verify [ID]`: reads every file that the configuration approves, whole, and holds it against the digest there; then
 * its header with our own bounded reader. Asks no gateway and changes nothing. Exit code 1 where anything is wrong.
 */
export async function verifyModels({ words: [id], json }: Invocation): Promise<number> {
  const { config, base } = loadConfig();
  const specs = (await localSpecs(config, base)).filter((spec) => id === undefined || spec.id === id);
  if (id !== undefined && specs.length === 0) throw new Error(`no model '${id}' of this machine in the configuration`);
  const bar = progressBar('MiB');
  const digests = await digestsOf(specs, bar);
  bar.end();
  const rows: FileRow[] = [];
  for (const spec of specs) rows.push(...(await rowsOf(spec, digests)));
  printRows(rows, ['model', 'part', 'ok', 'sha256', 'file', 'fault'], json);
  return rows.every(({ ok }) => ok) ? 0 : 1;
}

/** Of each file once, whoever shares it; what can't be read has none. */
async function digestsOf(specs: readonly LlamaModelSpec[], bar: ProgressBar): Promise<ReadonlyMap<string, string>> {
  const sizes = new Map<string, number>();
  for (const file of new Set(specs.flatMap(filesOf).map((approved) => approved.file))) {
    const found = await stat(file).catch(() => null);
    if (found !== null) sizes.set(file, found.size);
  }
  const total = Math.ceil(sizes.values().reduce((sum, size) => sum + size, 0) / MEBIBYTE);
  const digests = new Map<string, string>();
  let read = 0;
  for (const file of sizes.keys()) {
    const show = (bytes: number) => {
      read += bytes;
      bar.show(Math.ceil(read / MEBIBYTE), total);
    };
    // What can't be read is told below, as of every file that has no digest.
    const digest = await digestOf(file, show).catch(() => null);
    if (digest !== null) digests.set(file, digest);
  }
  return digests;
}

async function rowsOf(spec: LlamaModelSpec, digests: ReadonlyMap<string, string>): Promise<FileRow[]> {
  const { id, adapter, draft } = spec;
  const row = async (part: FileRow['part'], { file, sha256 }: ApprovedFile, look: () => Promise<unknown>) => {
    const found = digests.get(file) ?? null;
    const fault = await faultOf(found, sha256, look);
    return { model: id, part, file, sha256: found, ok: fault === null, fault };
  };
  const header = readHeader(spec.file);
  // Looked at by each row that needs it.
  header.catch(() => undefined);
  const beside =
    (read: typeof readAdapter, { file }: ApprovedFile) =>
    async () =>
      read(file, await header);
  return [
    await row('weights', spec, () => header),
    ...(adapter === undefined ? [] : [await row('adapter', adapter, beside(readAdapter, adapter))]),
    ...(draft === undefined ? [] : [await row('draft', draft, beside(readDraft, draft))]),
    ...(await templateRow(spec, header)),
  ];
}

async function faultOf(found: string | null, wanted: string, look: () => Promise<unknown>): Promise<string | null> {
  if (found === null) return 'can not be read';
  if (found !== wanted) return `not the approved file, which is ${wanted}`;
  return look().then(
    () => null,
    (error: Error) => error.message,
  );
}

/** The file's own template, where that is the one in use: a pinned one was held against its digest as it was read. */
async function templateRow(
  { id, file, embedding, chatTemplate, approvedTemplateSha256: approved }: LlamaModelSpec,
  header: ReturnType<typeof readHeader>,
): Promise<FileRow[]> {
  if (embedding || chatTemplate !== null) return [];
  const own = await header.then(
    (facts) => facts.chatTemplate,
    () => null,
  );
  const sha256 = own === null ? null : sha256Hex(own);
  const isApproved = sha256 !== null && sha256 === approved;
  const fault = isApproved
    ? null
    : own === null
      ? 'the file has no template'
      : 'approvedTemplateSha256 names another one';
  return [{ model: id, part: 'template', file, sha256, ok: isApproved, fault }];
}
