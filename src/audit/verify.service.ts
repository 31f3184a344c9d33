import { equalBytes } from '#kernel/bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.shared.ts';
import { DropCheck, type DroppedRange } from './drop-check.ts';
import { KeyRing } from './key-ring.shared.ts';
import { type Finding, Findings, LogCheck } from './log-check.ts';
import { type LogExtent, type LogSource, LostNode, type StoredCheckpoint } from './log-source.ts';
import {
  consistencyPath,
  HASH_BYTES,
  nodeHash,
  type ReadNode,
  RootBuilder,
  type SyncSha256,
  verifyConsistency,
} from './merkle.shared.ts';
import { type NoteCrypto, NoteFault, parseNote, type VerifierKey } from './note.shared.ts';

export interface VerifyDeps {
  readonly source: LogSource;
  readonly crypto: NoteCrypto & { readonly sha256: SyncSha256 };
  /** Null: signatures are not checked, which the result says. */
  readonly key: VerifierKey | null;
  /** Heads that somebody kept outside of the source: the gateway's own memory, a checkpoint on paper. */
  readonly remembered?: readonly Pick<Checkpoint, 'size' | 'root'>[];
  readonly progress?: (done: number, total: number) => void;
}

export interface VerifyRange {
  readonly from?: number | undefined;
  /** Up to but not including. */
  readonly to?: number | undefined;
}

export interface VerifyResult {
  readonly ok: boolean;
  readonly from: number;
  readonly to: number;
  readonly records: number;
  readonly checkpoints: number;
  /** Bodies that are gone by a record of it; their leaves were hashed into the tree. */
  readonly dropped: readonly DroppedRange[];
  /** Records that no checkpoint covers yet. */
  readonly unsigned: number;
  readonly signaturesChecked: boolean;
  /** Seqs of intents that still run, the first hundred of them. */
  readonly open: readonly number[];
  readonly openCount: number;
  readonly first: Finding | null;
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

/**
 * Recomputes everything that is stored of a log: records, columns, leaves, tree, signatures and pairs. Constant memory.
 * What it trusts is the key, and what was remembered.
 */
export async function verifyLog(deps: VerifyDeps, range: VerifyRange = {}): Promise<VerifyResult> {
  const { source, crypto, progress } = deps;
  const { sha256 } = crypto;
  const findings = new Findings();
  const extent = await source.extent();
  const { end } = extent;
  const to = Math.min(range.to ?? end, end);
  const from = Math.max(Math.min(range.from ?? extent.first, to), extent.first);
  const remembered = (deps.remembered ?? []).filter(({ size }) => size > 0).sort((a, b) => a.size - b.size);
  boundaries(extent, remembered, findings);

  const ring = deps.key === null ? null : await KeyRing.open(crypto, deps.key, await source.rotations());
  const drops = new DropCheck(ring, findings);
  const dropped = await drops.read(await source.lastDrop());
  const check = new LogCheck({ sha256, findings, from, dropped });
  const readNode = withinTree(source, extent.tree, sha256);
  const builder = await RootBuilder.resume(sha256, from, orLost(readNode, findings), check.onNode);
  const checkpoints = new CheckpointWalk(deps, ring, findings, from);
  await checkpoints.next();
  let done = 0;
  for await (const page of source.pages(from, to, extent.tree)) {
    // Roots are kept for the sizes that somebody signed or remembers; looking at them waits for the page's own faults.
    const wanted = await checkpoints.within(page.to);
    const roots = new Map<number, Uint8Array>();
    const sizes = new Set([...wanted.map(({ size }) => size), ...remembered.map(({ size }) => size)]);
    check.page(page, builder, extent.tree, (size) => {
      if (sizes.has(size)) roots.set(size, builder.root());
    });
    for (const size of [...sizes].sort((a, b) => a - b)) {
      const root = roots.get(size) ?? null;
      for (const one of wanted) if (one.size === size) await checkpoints.judge(one, root);
      const other = remembered.some((one) => one.size === size && root !== null && !equalBytes(one.root, root));
      if (other) checkpoints.wrongRoot(size, 'the tree is not the one that was remembered outside of the database');
    }
    done += page.to - page.from;
    progress?.(done, to - from);
  }
  const last = await checkpoints.anchor(to, builder.root(), extent);
  await drops.judge(check.drops, extent.tree, sha256, readNode);
  const open = await check.pairs.end(
    to < end ? null : await source.openIntents(),
    (intent) => source.settledSince(intent, to),
    to,
  );
  return {
    ok: findings.count === 0,
    from,
    to,
    records: to - from,
    checkpoints: checkpoints.count,
    dropped: dropped
      .map((range) => ({ ...range, from: Math.max(range.from, from), to: Math.min(range.to, to) }))
      .filter((range) => range.from < range.to),
    unsigned: Math.max(0, to - Math.max(last, from)),
    signaturesChecked: deps.key !== null,
    open: open.slice(0, 100),
    openCount: open.length,
    first: findings.first,
    findings: findings.kept,
    findingCount: findings.count,
  };
}

/** What shows before a single record is read: a log that is shorter than something says that was signed over it. */
function boundaries(extent: LogExtent, remembered: readonly Pick<Checkpoint, 'size'>[], findings: Findings): void {
  const { size, stored, tree, signed } = extent;
  const kept = remembered.at(-1)?.size ?? 0;
  if (signed > stored)
    findings.add('cut', stored, `a checkpoint covers ${signed} records, ${stored} are there`, signed - 1);
  else if (tree > stored) findings.add('cut', stored, `the tree covers ${tree} records, ${stored} are there`, tree - 1);
  if (kept > stored) {
    const why = `a tree of ${kept} records was seen before, ${stored} are there: the log was cut, or a backup put back`;
    findings.add('cut', stored, why, kept - 1);
  }
  if (stored > size) findings.add('beyond', size, `the log says that it holds ${size} records, ${stored} are there`);
  if (signed > tree) findings.add('node', tree, `a checkpoint covers ${signed} records, the tree ${tree}`, signed - 1);
}

/** Goes through the stored checkpoints beside the records. */
class CheckpointWalk {
  readonly #deps: VerifyDeps;
  readonly #ring: KeyRing | null;
  readonly #findings: Findings;
  readonly #stored: AsyncIterator<StoredCheckpoint>;
  #ahead: StoredCheckpoint | null = null;
  /** Size of the last one whose root was right. */
  #good: number;
  #rootIsWrong = false;
  count = 0;

  constructor(deps: VerifyDeps, ring: KeyRing | null, findings: Findings, from: number) {
    this.#deps = deps;
    this.#ring = ring;
    this.#findings = findings;
    this.#good = from;
    this.#stored = deps.source.checkpoints(from + 1)[Symbol.asyncIterator]();
  }

  async next(): Promise<void> {
    const { value, done } = await this.#stored.next();
    this.#ahead = done === true ? null : (value as StoredCheckpoint);
  }

  /** Those of at most this size that were not handed out yet. */
  async within(size: number): Promise<StoredCheckpoint[]> {
    const found: StoredCheckpoint[] = [];
    while (this.#ahead !== null && this.#ahead.size <= size) {
      found.push(this.#ahead);
      await this.next();
    }
    return found;
  }

  async judge(stored: StoredCheckpoint, root: Uint8Array | null): Promise<void> {
    this.count++;
    const checkpoint = await this.#read(stored);
    if (checkpoint === null || root === null) return;
    if (!equalBytes(checkpoint.root, root)) {
      this.wrongRoot(stored.size, `the records do not make the root that was signed at size ${stored.size}`);
    } else if (!this.#rootIsWrong) this.#good = stored.size;
  }

  /** Once: after it every later root is wrong, too. Nothing new where a wrong hash below is already known. */
  wrongRoot(size: number, detail: string): void {
    if (this.#rootIsWrong) return;
    this.#rootIsWrong = true;
    if (!this.#findings.explains(this.#good, size)) this.#findings.add('root', this.#good, detail, size - 1);
  }

  /** What the note says, if its signature and its copies are right. */
  async #read({ size, root, note }: StoredCheckpoint): Promise<Checkpoint | null> {
    const wrong = (detail: string) => {
      this.#findings.add('checkpoint', size - 1, `the checkpoint of size ${size}: ${detail}`);
      return null;
    };
    try {
      const checkpoint = this.#ring === null ? unchecked(note) : await this.#ring.openCheckpoint(note);
      if (checkpoint.size !== size) return wrong(`the note says size ${checkpoint.size}`);
      if (root !== null && !equalBytes(root, checkpoint.root))
        return wrong('the column root is not what the note says');
      return checkpoint;
    } catch (error) {
      if (error instanceof NoteFault) return wrong(error.message);
      throw error;
    }
  }

  /** A range that ends before the next checkpoint is tied to it by a consistency proof. Size of the last one that counts. */
  async anchor(to: number, root: Uint8Array, { tree }: LogExtent): Promise<number> {
    const next = this.#ahead;
    if (next === null || next.size > tree || to === 0) return this.#good;
    const checkpoint = await this.#read(next);
    if (checkpoint === null) return this.#good;
    this.count++;
    const { crypto, source } = this.#deps;
    const proof = await consistencyPath(crypto.sha256, to, next.size, orLost(source.readNode, this.#findings));
    if (await verifyConsistency(crypto.sha256, to, next.size, root, checkpoint.root, proof)) return next.size;
    this.wrongRoot(to, `the records are not those of the tree that was signed at size ${next.size}`);
    return this.#good;
  }
}

/** Nodes above the last leaves are not stored yet: they are made from those below. */
function withinTree({ readNode }: LogSource, tree: number, sha256: SyncSha256): ReadNode {
  const read: ReadNode = async (level, index) =>
    level === 0 || (index + 1) * 2 ** level <= tree
      ? readNode(level, index)
      : nodeHash(sha256, await read(level - 1, 2 * index), await read(level - 1, 2 * index + 1));
  return read;
}

/** A node that is lost is a finding; what is made with the hash in its place will be wrong. */
const orLost =
  (readNode: ReadNode, findings: Findings): ReadNode =>
  async (level, index) => {
    try {
      return await readNode(level, index);
    } catch (error) {
      if (!(error instanceof LostNode)) throw error;
      findings.add('node', error.from, error.message, error.to);
      return new Uint8Array(HASH_BYTES);
    }
  };

function unchecked(note: string): Checkpoint {
  const { text } = parseNote(note);
  return parseCheckpoint(text);
}
