import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { toBase64 } from '#kernel/bytes.ts';
import { covers, parseDrop, rangesText, type SeqRange, statementOf } from './drop.ts';
import { headOf, leafLine, lineOf } from './export-lines.ts';
import type { LogPage, LogSource, StoredCheckpoint } from './log-source.ts';
import { type ExportFormat, type Manifest, signManifest } from './manifest.ts';
import { consistencyNodes, RootBuilder, rootNodes } from './merkle.shared.ts';
import { parseNote, type Signer } from './note.shared.ts';
import { nodeCrypto, sha256 } from './note-crypto.node.ts';
import { parseRecord } from './record.shared.ts';
import { encodeBundle, TILE_WIDTH, tilePath } from './tiles.ts';

export interface ExportOptions {
  readonly source: LogSource;
  readonly folder: string;
  readonly format: ExportFormat;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly origin: string;
  /** Null: the manifest is not signed, and says so. */
  readonly signer: Signer | null;
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Writes records of the log, with what proves them, into a new folder; constant memory. Of bodies that retention dropped
 * JSON Lines keep the leaf hashes and tiles leave out the bundles; the manifest says which, by which record. Any other
 * record whose body is gone is left out of JSON Lines and CSV, and makes tiles impossible.
 */
export async function exportLog(options: ExportOptions): Promise<Manifest> {
  const { source, format, folder, origin, signer, progress } = options;
  const extent = await source.extent();
  const wanted = Math.min(options.to ?? extent.end, extent.end);
  const checkpoint = await checkpointFor(source, wanted, format);
  // Tiles are those of one checkpoint: the whole tree that it signs.
  const to = format === 'tiles' ? (checkpoint?.size ?? 0) : wanted;
  const from = Math.min(options.from ?? 0, to);
  if (format === 'tiles' && from > 0) throw new Error('tiles hold a log from its beginning: --from is not possible');
  if (format === 'tiles' && checkpoint === null) throw new Error('tiles need a signed checkpoint, and there is none');
  const nodes = await proofNodes(source, from, to, checkpoint, extent.tree);
  const dropped = droppedWithin(await source.lastDrop(), { from, to });

  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);
  await using files = await FileList.create(folder);
  const writer =
    format === 'tiles' ? new TileWriter(files, to, dropped?.ranges ?? []) : await LineWriter.create(files, format);
  let records = 0;
  let done = 0;
  for await (const page of source.pages(from, to, extent.tree)) {
    records += page.rows.filter(({ record }) => record !== null).length;
    await writer.page(page);
    done += page.to - page.from;
    progress?.(done, to - from);
  }
  await writer.end();
  if (checkpoint !== null) await files.write('checkpoint', Buffer.from(checkpoint.note));
  const manifest: Manifest = {
    v: 1,
    format,
    made_at: new Date().toISOString(),
    from,
    to,
    records,
    origin,
    checkpoint: checkpoint?.note ?? null,
    nodes: format === 'tiles' ? [] : nodes,
    dropped: dropped === null ? null : { ranges: rangesText(dropped.ranges), record: dropped.record },
    rotations: await source.rotations(),
    files_sha256: await files.finish(),
    signed: signer !== null,
  };
  const bytes = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(join(folder, 'manifest.json'), bytes, { flag: 'wx', mode: 0o600 });
  if (signer !== null) {
    const signature = await signManifest(nodeCrypto, bytes, signer);
    await writeFile(join(folder, 'manifest.sig'), `${signature}\n`, { flag: 'wx', mode: 0o600 });
  }
  return manifest;
}

/** What the last record of dropped bodies says of this range; whoever verifies the export judges that record. */
function droppedWithin(record: string | null, within: SeqRange): { ranges: SeqRange[]; record: string } | null {
  const parsed = record === null ? 'none' : parseRecord(record);
  const note = typeof parsed === 'string' ? null : statementOf(parsed);
  if (record === null || note === null) return null;
  const ranges = parseDrop(parseNote(note).text).dropped.map(({ from, to }) => ({
    from: Math.max(from, within.from),
    to: Math.min(to, within.to),
  }));
  const inside = ranges.filter(({ from, to }) => from < to);
  return inside.length === 0 ? null : { ranges: inside, record };
}

/** The first that covers everything up to `to`, else the largest; for tiles the largest within it. */
async function checkpointFor(source: LogSource, to: number, format: ExportFormat): Promise<StoredCheckpoint | null> {
  if (format !== 'tiles') {
    for await (const checkpoint of source.checkpoints(to)) return checkpoint;
  }
  let last: StoredCheckpoint | null = null;
  for await (const checkpoint of source.checkpoints(0)) {
    if (checkpoint.size > to) break;
    last = checkpoint;
  }
  return last;
}

async function proofNodes(
  { readNode }: LogSource,
  from: number,
  to: number,
  checkpoint: StoredCheckpoint | null,
  tree: number,
): Promise<Manifest['nodes']> {
  const beyond = checkpoint !== null && checkpoint.size > to && to > 0 ? consistencyNodes(to, checkpoint.size) : [];
  const ids = [...(from <= tree ? rootNodes(from) : []), ...beyond];
  const nodes: { level: number; index: number; hash: string }[] = [];
  for (const { level, index } of ids) nodes.push({ level, index, hash: toBase64(await readNode(level, index)) });
  return nodes;
}

/** Everything that was written, with its SHA-256: `files.sha256`, as `sha256sum -c` reads it. */
class FileList implements AsyncDisposable {
  readonly #folder: string;
  readonly #list: FileHandle;
  readonly #digest = createHash('sha256');

  private constructor(folder: string, list: FileHandle) {
    this.#folder = folder;
    this.#list = list;
  }

  static async create(folder: string): Promise<FileList> {
    return new FileList(folder, await open(join(folder, 'files.sha256'), 'wx', 0o600));
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    const file = join(this.#folder, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, bytes, { flag: 'wx', mode: 0o600 });
    await this.note(path, createHash('sha256').update(bytes));
  }

  open(path: string): Promise<FileHandle> {
    return open(join(this.#folder, path), 'wx', 0o600);
  }

  async note(path: string, hash: Hash): Promise<void> {
    const line = `${hash.digest('hex')}  ${path}\n`;
    this.#digest.update(line);
    await this.#list.appendFile(line);
  }

  async finish(): Promise<string> {
    await this.#list.sync();
    return this.#digest.digest('hex');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#list.close();
  }
}

class LineWriter {
  readonly #files: FileList;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #format: 'jsonl' | 'csv';
  readonly #hash = createHash('sha256');

  private constructor(files: FileList, file: FileHandle, path: string, format: 'jsonl' | 'csv') {
    this.#files = files;
    this.#file = file;
    this.#path = path;
    this.#format = format;
  }

  static async create(files: FileList, format: 'jsonl' | 'csv'): Promise<LineWriter> {
    const path = `records.${format}`;
    const writer = new LineWriter(files, await files.open(path), path, format);
    await writer.#write(headOf(format));
    return writer;
  }

  page({ rows }: LogPage): Promise<void> {
    let text = '';
    for (const row of rows) {
      if (row.record !== null) text += lineOf(this.#format, { ...row, record: row.record });
      else if (this.#format === 'jsonl' && row.leaf !== null) text += leafLine(row);
    }
    return this.#write(text);
  }

  async end(): Promise<void> {
    await this.#file.sync();
    await this.#file.close();
    await this.#files.note(this.#path, this.#hash);
  }

  async #write(text: string): Promise<void> {
    this.#hash.update(text);
    await this.#file.appendFile(text);
  }
}

/** C2SP tlog-tiles: hash tiles, entry bundles; one unfinished tile a level is held. */
class TileWriter {
  readonly #files: FileList;
  readonly #size: number;
  /** They begin and end where bundles do. */
  readonly #dropped: readonly SeqRange[];
  /** By tile level. */
  readonly #tiles: { n: number; hashes: Uint8Array[] }[] = [];
  #entries: Uint8Array[] = [];
  /** What is full and waits to be written: the builder can't wait for a disk. */
  #full: [path: string, bytes: Uint8Array][] = [];
  readonly #builder = new RootBuilder(sha256, (level, _, hash) => {
    if (level % 8 === 0) this.#hash(level / 8, hash);
  });

  constructor(files: FileList, size: number, dropped: readonly SeqRange[]) {
    this.#files = files;
    this.#size = size;
    this.#dropped = dropped;
  }

  async page({ rows }: LogPage): Promise<void> {
    for (const { seq, record, leaf } of rows) {
      const gone = record === null && !covers(this.#dropped, { from: seq, to: seq + 1 });
      if (gone || leaf === null || seq !== this.#builder.size) {
        throw new Error(`record ${this.#builder.size} or its leaf hash is gone: tiles hold all of them`);
      }
      if (record !== null) this.#entries.push(Buffer.from(record, 'utf8'));
      if (this.#entries.length === TILE_WIDTH) this.#bundle(Math.floor(seq / TILE_WIDTH));
      this.#hash(0, leaf);
      this.#builder.append(leaf);
    }
    await this.#flush();
  }

  async end(): Promise<void> {
    if (this.#builder.size !== this.#size)
      throw new Error(`record ${this.#builder.size} is gone: tiles hold all of them`);
    if (this.#entries.length > 0) this.#bundle(Math.floor(this.#size / TILE_WIDTH));
    for (const [level, tile] of this.#tiles.entries()) if (tile.hashes.length > 0) this.#tile(level);
    await this.#flush();
  }

  #hash(level: number, hash: Uint8Array): void {
    this.#tiles[level] ??= { n: 0, hashes: [] };
    this.#tiles[level].hashes.push(hash);
    if (this.#tiles[level].hashes.length === TILE_WIDTH) this.#tile(level);
  }

  #tile(level: number): void {
    const { n, hashes } = this.#tiles[level] ?? { n: 0, hashes: [] };
    this.#full.push([tilePath(level, n, hashes.length), Buffer.concat(hashes)]);
    this.#tiles[level] = { n: n + 1, hashes: [] };
  }

  #bundle(n: number): void {
    this.#full.push([tilePath('entries', n, this.#entries.length), encodeBundle(this.#entries)]);
    this.#entries = [];
  }

  async #flush(): Promise<void> {
    for (const [path, bytes] of this.#full) await this.#files.write(path, bytes);
    this.#full = [];
  }
}
