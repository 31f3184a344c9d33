import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { fromBase64, fromHex } from '#kernel/bytes.ts';
import { type CanonicalValue, canonicalJson } from '#kernel/canonical-json.ts';
import { parseCheckpoint } from './checkpoint.shared.ts';
import { KeyRing } from './key-ring.shared.ts';
import { type LogExtent, type LogPage, type LogRow, type LogSource, LostNode, type NodeRun } from './log-source.ts';
import { isManifestSigned, type Manifest } from './manifest.ts';
import type { ReadNode } from './merkle.shared.ts';
import { parseNote, type VerifierKey } from './note.shared.ts';
import { nodeCrypto, sha256 } from './note-crypto.node.ts';
import { linesOf } from './selection.files.ts';
import { decodeBundle, TILE_WIDTH, tilePath, tileWidth } from './tiles.ts';

/** An exported folder, opened to be verified. */
export interface OpenExport {
  readonly manifest: Manifest;
  /** Null for CSV, whose records are for people, and for a selection, which {@link verifySelection} checks. */
  readonly source: LogSource | null;
  /** What is wrong with the folder itself: files that are not what the manifest says, a signature that is wrong. */
  faults(key: VerifierKey): Promise<string[]>;
}

/** @throws Error for a folder without a manifest of ours. */
export async function openExport(folder: string): Promise<OpenExport> {
  const bytes = await readFile(join(folder, 'manifest.json'));
  const manifest = JSON.parse(bytes.toString('utf8')) as Manifest;
  const { format, v, from, to } = manifest;
  if (
    v !== 1 ||
    !['jsonl', 'csv', 'tiles'].includes(format) ||
    !Number.isSafeInteger(from) ||
    !Number.isSafeInteger(to)
  ) {
    throw new Error(`${folder}: this is no manifest of an export`);
  }
  const source =
    format === 'csv' || manifest.filter !== undefined
      ? null
      : format === 'tiles'
        ? await tiles(folder, manifest)
        : lines(folder, manifest);
  return { manifest, source, faults: (key) => faultsOf(folder, manifest, bytes, key) };
}

async function faultsOf(folder: string, manifest: Manifest, bytes: Uint8Array, key: VerifierKey): Promise<string[]> {
  const faults: string[] = [];
  if (manifest.signed) {
    const signature = await readFile(join(folder, 'manifest.sig'), 'utf8').catch(() => '');
    // What the manifest says of rotations counts only as far as the given key leads to it.
    const { inForce } = await KeyRing.open(nodeCrypto, key, manifest.rotations ?? []);
    if (!(await isManifestSigned(nodeCrypto, bytes, signature, inForce.key)))
      faults.push('the signature of manifest.json is wrong');
  }
  if ((await digestOf(join(folder, 'files.sha256'))) !== manifest.files_sha256) {
    faults.push('files.sha256 is not what the manifest says');
  }
  for await (const line of createInterface({ input: createReadStream(join(folder, 'files.sha256')) })) {
    const [, digest, path = ''] = /^([0-9a-f]{64}) {2}(\S+)$/.exec(line) ?? [];
    // Nothing outside of the folder is read, whatever the list says.
    const inside = digest !== undefined && normalize(path) === path && !path.startsWith('/') && !path.startsWith('..');
    if (!inside || (await digestOf(join(folder, path))) !== digest)
      faults.push(`${path || line}: not the file that was exported`);
    if (faults.length >= 50) break;
  }
  return faults;
}

async function digestOf(file: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), hash);
    return hash.digest('hex');
  } catch {
    return null;
  }
}

const PAGE = 4 * TILE_WIDTH;
/** What an export says beside its records. Exports of earlier releases say less. */
const beside = ({ dropped, rotations }: Partial<Manifest>) => ({
  openIntents: async () => null,
  settledSince: async () => false,
  lastDrop: async () => dropped?.record ?? null,
  rotations: async () => rotations ?? [],
});

/** C2SP tlog-tiles: verified by their checkpoint alone, whoever made them. */
async function tiles(folder: string, manifest: Manifest): Promise<LogSource> {
  const note = await readFile(join(folder, 'checkpoint'), 'utf8');
  const { size } = parseCheckpoint(parseNote(note).text);
  const cache = new Map<number, { n: number; hashes: Promise<Uint8Array> }>();
  const tile = (level: number, n: number): Promise<Uint8Array> => {
    const cached = cache.get(level);
    if (cached?.n === n) return cached.hashes;
    const hashes = readFile(join(folder, tilePath(level, n, tileWidth(level, n, size)))).catch(() => new Uint8Array(0));
    cache.set(level, { n, hashes });
    return hashes;
  };
  const hashAt = async (level: number, index: number): Promise<Uint8Array | null> => {
    const at = (index % TILE_WIDTH) * 32;
    const hashes = await tile(level, Math.floor(index / TILE_WIDTH));
    return hashes.length >= at + 32 ? hashes.subarray(at, at + 32) : null;
  };
  /** Between the levels of tiles a node is made from those below it. */
  const readNode: ReadNode = async (level, index) => {
    if (level % 8 === 0) {
      const hash = await hashAt(level / 8, index);
      if (hash === null) throw new LostNode(level, index);
      return hash;
    }
    const [left, right] = [await readNode(level - 1, index * 2), await readNode(level - 1, index * 2 + 1)];
    return sha256(Buffer.concat([Buffer.of(1), left, right]));
  };
  const rowsOf = async (from: number, to: number): Promise<LogRow[]> => {
    const rows: LogRow[] = [];
    for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < to; n++) {
      const path = join(folder, tilePath('entries', n, tileWidth(0, n, size)));
      const entries = decodeBundle(await readFile(path).catch(() => new Uint8Array(0))) ?? [];
      for (let seq = Math.max(from, n * TILE_WIDTH); seq < Math.min(to, (n + 1) * TILE_WIDTH); seq++) {
        const entry = entries[seq - n * TILE_WIDTH];
        const record = entry === undefined ? null : Buffer.from(entry).toString('utf8');
        rows.push({ seq, columns: null, record, leaf: await hashAt(0, seq) });
      }
    }
    return rows;
  };
  const runsOf = async (from: number, to: number): Promise<NodeRun[]> => {
    const runs: NodeRun[] = [];
    for (let level = 1; TILE_WIDTH ** level <= size; level++) {
      const [first, end] = [Math.floor(from / TILE_WIDTH ** level), Math.floor(to / TILE_WIDTH ** level)];
      const hashes: Uint8Array[] = [];
      for (let index = first; index < end; index++) hashes.push((await hashAt(level, index)) ?? new Uint8Array(0));
      runs.push({ level: level * 8, first: first < end ? first : null, hashes: Buffer.concat(hashes) });
    }
    return runs;
  };
  return {
    ...beside(manifest),
    name: 'the exported tiles',
    extent: async () => ({ size, stored: size, tree: size, signed: size, first: 0, end: size }),
    async *pages(from, to): AsyncGenerator<LogPage> {
      for (let at = from; at < to; ) {
        const end = Math.min(to, (Math.floor(at / PAGE) + 1) * PAGE);
        yield { from: at, to: end, rows: await rowsOf(at, end), nodes: await runsOf(at, end) };
        at = end;
      }
    },
    async *checkpoints(from) {
      if (size >= from) yield { size, root: null, note };
    },
    readNode,
  };
}

/** JSON Lines, tied to the checkpoint by the manifest's nodes. The manifest is believed in nothing: all must fit. */
function lines(folder: string, manifest: Manifest): LogSource {
  const { from, to, checkpoint, nodes } = manifest;
  const signed = checkpoint === null ? 0 : parseCheckpoint(parseNote(checkpoint).text).size;
  const known = new Map(nodes.map(({ level, index, hash }) => [`${level}/${index}`, fromBase64(hash)]));
  const size = Math.max(to, signed);
  const extent: LogExtent = { size, stored: size, tree: size, signed, first: from, end: to };
  return {
    ...beside(manifest),
    name: 'the exported records',
    extent: async () => extent,
    async *pages(begin, end): AsyncGenerator<LogPage> {
      let rows: LogRow[] = [];
      let at = begin;
      for await (const line of linesOf(folder, 'records', 'jsonl')) {
        const row = rowOf(line);
        if (row === null || row.seq < begin || row.seq >= end) continue;
        while (row.seq >= at + PAGE) {
          yield { from: at, to: at + PAGE, rows, nodes: [] };
          at += PAGE;
          rows = [];
        }
        if (row.seq > (rows.at(-1)?.seq ?? at - 1)) rows.push(row);
      }
      for (; at < end; at += PAGE) {
        yield { from: at, to: Math.min(end, at + PAGE), rows, nodes: [] };
        rows = [];
      }
    },
    async *checkpoints(least) {
      if (checkpoint !== null && signed >= least) yield { size: signed, root: null, note: checkpoint };
    },
    readNode: (level, index) => {
      const hash = known.get(`${level}/${index}`);
      if (!hash) throw new LostNode(level, index);
      return hash;
    },
  };
}

/** As `lineOf` writes it: the record is the last member, up to the line's last brace. */
const LINE = /^\{"event_id":(?:null|"[0-9a-f-]{36}"),"leaf":"([0-9a-f]{64})","record":(?=\{)/;
const SEQ = /,"seq":(0|[1-9]\d{0,14}),"v":1\}\}$/;

/**
 * A line as we write it is taken apart, not parsed: whoever checks the record parses it anyway. Of others the record's
 * bytes come back from what was parsed, since canonical JSON has one spelling. A dropped body left its leaf.
 */
function rowOf(line: string): LogRow | null {
  const [head, hash] = LINE.exec(line) ?? [];
  const [, seq] = head === undefined ? [] : (SEQ.exec(line.slice(-40)) ?? []);
  if (head !== undefined && hash !== undefined && seq !== undefined) {
    return { seq: Number(seq), columns: null, record: line.slice(head.length, -1), leaf: Buffer.from(hash, 'hex') };
  }
  try {
    const { record, leaf, seq } = JSON.parse(line) as {
      record: ({ seq: number } & CanonicalValue) | null;
      leaf: string;
      seq?: number;
    };
    if (record === null) return { seq: seq ?? -1, columns: null, record: null, leaf: fromHex(leaf) };
    return { seq: record.seq, columns: null, record: canonicalJson(record), leaf: fromHex(leaf) };
  } catch {
    return null;
  }
}
