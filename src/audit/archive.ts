import { createHash } from 'node:crypto';
import { toBase64, utf8 } from '#kernel/bytes.ts';
import { Problem } from '#kernel/problem.ts';
import { type AuditReader, type EventFilter, filtersOnRecord, type Narrowed } from './audit.ts';
import { headOf, lineOf, type WholeRow } from './export-lines.ts';
import type { Manifest } from './manifest.ts';
import { consistencyNodes, inclusionPath, type ReadNode, rootNodes, type Sha256 } from './merkle.shared.ts';
import { TAR_END, tarEntry } from './tar.ts';
import type { SignedCheckpoint } from './tree.ts';

export interface ArchiveDeps {
  readonly reader: Pick<AuditReader, 'narrow' | 'rows'>;
  /** The latest checkpoint of at least `size` records; null if none comes in time. */
  readonly covering: (size: number, waitMs: number) => Promise<SignedCheckpoint | null>;
  readonly readNode: ReadNode;
  readonly sha256: Sha256;
  readonly origin: string;
  /** `manifest.sig` for these bytes of `manifest.json`. */
  readonly signManifest: (bytes: Uint8Array) => Promise<string>;
  /** Notes of the rotations of the key that signs. */
  readonly rotations: () => Promise<readonly string[]>;
  readonly now: () => Date;
}

export interface ArchiveOrder {
  readonly format: 'jsonl' | 'csv';
  /** `cursor` and `limit` are for pages. */
  readonly filter: Omit<EventFilter, 'cursor' | 'limit'>;
}

/** Records of a part: a part is made whole before it is sent, since its length stands before it. */
const PART = 1000;
/** A checkpoint follows its records within a second. */
const WAIT_MS = 2000;
/** Nodes at and above this level are shared by many proofs; the others are read anew. */
const SHARED_LEVEL = 6;
const SHARED_NODES = 50_000;

/**
 * What an auditor takes away, as a tar of the folder that `audit export` writes: records in parts, the checkpoint,
 * `files.sha256` and the signed manifest. Constant memory, however much it is. Without a filter beyond time nothing is left out
 * between two seqs, which the manifest's nodes prove; with one each record comes with its own inclusion proof.
 */
export class Archive {
  readonly #deps: ArchiveDeps;
  readonly #order: ArchiveOrder;
  readonly #time: number;
  readonly #digest = createHash('sha256');
  #files = '';
  #records = 0;
  #bytes = 0;
  #range: { readonly from: number; readonly to: number } | null = null;
  #checkpoint: SignedCheckpoint | null = null;
  #whole: string | null = null;

  constructor(deps: ArchiveDeps, order: ArchiveOrder) {
    this.#deps = deps;
    this.#order = order;
    this.#time = Math.floor(deps.now().getTime() / 1000);
  }

  /** For the record: what was asked for, and what has gone out so far. `sha256` of the archive once it is whole. */
  facts() {
    const { format, filter } = this.#order;
    return {
      format,
      filters: filtersOnRecord(filter),
      from_seq: this.#range?.from ?? null,
      to_seq: this.#range?.to ?? null,
      records: this.#records,
      bytes: this.#bytes,
      archive_sha256: this.#whole,
    };
  }

  /** Everything but {@link ending}. @throws Problem */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { covering, readNode } = this.#deps;
    const narrowed = await this.#deps.reader.narrow(this.#order.filter);
    const end = narrowed === null ? 0 : Number(narrowed.high) + 1;
    // What is asked for may be younger than the last checkpoint: what nobody has signed yet waits for the next export.
    const checkpoint = (await covering(Math.max(1, end), WAIT_MS)) ?? (await covering(1, 0));
    if (checkpoint === null) throw new Problem('audit_unavailable', { retryAfter: 1 });
    const to = Math.min(end, checkpoint.size);
    const from = narrowed === null ? to : Math.min(Number(narrowed.low), to);
    this.#checkpoint = checkpoint;
    this.#range = { from, to };
    if (narrowed !== null) yield* this.#parts(narrowed, from, to);
    const beyond = checkpoint.size > to && to > 0 ? consistencyNodes(to, checkpoint.size) : [];
    const ids = this.#isSelection ? [] : [...rootNodes(from), ...beyond];
    const nodes = await Promise.all(
      ids.map(async ({ level, index }) => ({ level, index, hash: toBase64(await readNode(level, index)) })),
    );
    yield this.#add('checkpoint', utf8(checkpoint.note));
    yield* this.#seal(from, to, nodes);
    this.#digest.update(TAR_END);
    this.#bytes += TAR_END.length;
    this.#whole = this.#digest.digest('hex');
  }

  /** Without it the archive is recognisably cut off: it goes out once the export is on record. */
  get ending(): Uint8Array {
    return TAR_END;
  }

  get #isSelection(): boolean {
    const { actor, action, resource, outcome, request_id } = this.#order.filter;
    return [actor, action, resource, outcome, request_id].some((one) => one !== undefined);
  }

  async *#parts(narrowed: Narrowed, from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { format, filter } = this.#order;
    let head = headOf(format);
    let next = from;
    for (let part = 0; next < to; part++) {
      const rows = await this.#deps.reader.rows({ ...filter, limit: PART }, narrowed, next, to);
      const first = rows[0]?.seq ?? to;
      const last = rows.at(-1)?.seq ?? to - 1;
      // The seven days pass on while we send; who takes his export that slowly is told, not given less.
      const whole = this.#isSelection || (first === next && last - first + 1 === rows.length && rows.length > 0);
      if (!whole) throw new Problem('conflict', { message: 'Records left the seven days while they were exported.' });
      const number = String(part).padStart(6, '0');
      yield this.#add(`records-${number}.${format}`, utf8(head + rows.map((row) => lineOf(format, row)).join('')));
      if (this.#isSelection) yield this.#add(`proofs-${number}.jsonl`, utf8(await this.#proofs(rows)));
      head = '';
      this.#records += rows.length;
      next = rows.length < PART && this.#isSelection ? to : last + 1;
    }
  }

  readonly #shared = new Map<string, Promise<Uint8Array>>();

  async #proofs(rows: readonly WholeRow[]): Promise<string> {
    const { sha256, readNode } = this.#deps;
    const size = this.#checkpoint?.size ?? 0;
    if (this.#shared.size > SHARED_NODES) this.#shared.clear();
    const read: ReadNode = (level, index) => {
      if (level < SHARED_LEVEL) return readNode(level, index);
      const key = `${level}/${index}`;
      const known = this.#shared.get(key) ?? Promise.resolve(readNode(level, index));
      this.#shared.set(key, known);
      return known;
    };
    const lines = await Promise.all(
      rows.map(async ({ seq }) => {
        const proof = await inclusionPath(sha256, seq, size, read);
        return `${JSON.stringify({ seq, proof: proof.map(toBase64) })}\n`;
      }),
    );
    return lines.join('');
  }

  async *#seal(from: number, to: number, nodes: Manifest['nodes']): AsyncGenerator<Uint8Array, void, undefined> {
    const { origin, now, signManifest, rotations } = this.#deps;
    const list = utf8(this.#files);
    const manifest: Manifest = {
      v: 1,
      format: this.#order.format,
      made_at: now().toISOString(),
      from,
      to,
      records: this.#records,
      origin,
      checkpoint: this.#checkpoint?.note ?? null,
      nodes,
      // Auditors see seven days, and no body goes before half a year.
      dropped: null,
      rotations: await rotations(),
      ...(this.#isSelection ? { filter: this.#order.filter } : {}),
      files_sha256: createHash('sha256').update(list).digest('hex'),
      signed: true,
    };
    const bytes = utf8(`${JSON.stringify(manifest, null, 2)}\n`);
    yield this.#entry('files.sha256', list);
    yield this.#entry('manifest.json', bytes);
    yield this.#entry('manifest.sig', utf8(`${await signManifest(bytes)}\n`));
  }

  /** A file that stands in `files.sha256`. */
  #add(name: string, bytes: Uint8Array): Uint8Array {
    this.#files += `${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`;
    return this.#entry(name, bytes);
  }

  #entry(name: string, bytes: Uint8Array): Uint8Array {
    const entry = tarEntry(name, bytes, this.#time);
    this.#digest.update(entry);
    this.#bytes += entry.length;
    return entry;
  }
}
