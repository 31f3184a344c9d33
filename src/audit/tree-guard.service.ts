import { consistencyPath, rootOf, type Sha256, verifyConsistency } from './merkle.shared.ts';
import { type AuditMemory, LogFault, MissingNode, type TreeHead, type TreeReader } from './tree.ts';

export interface TreeGuardDeps {
  readonly memory: AuditMemory;
  readonly reader: Pick<TreeReader, 'state' | 'readNode'>;
  readonly origin: string;
  readonly sha256: Sha256;
}

/**
 * What this gateway knows of the log by itself. Whatever the database says, only a tree that grew out of the remembered
 * one (RFC 9162, section 2.1.4) is followed or signed; the first one that did not ends all following and signing.
 */
export class TreeGuard {
  readonly #deps: TreeGuardDeps;
  #known: TreeHead;
  #fault: LogFault | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** Nothing was remembered: what is there now was trusted as it is. */
  readonly firstUse: boolean;

  private constructor(deps: TreeGuardDeps, known: TreeHead, firstUse: boolean) {
    this.#deps = deps;
    this.#known = known;
    this.firstUse = firstUse;
  }

  /** @throws LogFault when the database does not hold the log that is remembered. */
  static async open(deps: TreeGuardDeps): Promise<TreeGuard> {
    const remembered = await deps.memory.load();
    if (remembered !== null && remembered.origin !== deps.origin) {
      throw new LogFault(`audit.origin is ${deps.origin}, and what is remembered is the log ${remembered.origin}`);
    }
    const known = remembered ?? (await headOf(deps));
    const guard = new TreeGuard(deps, known, remembered === null);
    await guard.#confirm(known);
    if (guard.firstUse) await deps.memory.save({ ...known, origin: deps.origin });
    return guard;
  }

  get known(): TreeHead {
    return this.#known;
  }

  /** Set once the log was found to be another one than before. */
  get fault(): LogFault | null {
    return this.#fault;
  }

  /** Found elsewhere: a checkpoint that nobody with the key has signed. */
  condemn(fault: LogFault): void {
    this.#fault ??= fault;
  }

  /**
   * Resolves when `head` is known to belong to the remembered log, and is remembered on disk itself if it is larger.
   * Calls take turns.
   *
   * @throws LogFault when it does not belong. Other errors say nothing about the log.
   */
  advance(head: TreeHead): Promise<void> {
    const mine = this.#turn.then(() => this.#advance(head));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** @throws LogFault when the stored tree no longer holds what is remembered. */
  confirm(): Promise<void> {
    return this.advance(this.#known);
  }

  async #advance(head: TreeHead): Promise<void> {
    if (this.#fault !== null) throw this.#fault;
    try {
      if (head.size <= this.#known.size) {
        await this.#confirm(this.#known);
        if (head !== this.#known) await this.#confirm(head);
        return;
      }
      await this.#follow(head);
    } catch (thrown) {
      if (thrown instanceof LogFault) this.#fault = thrown;
      throw thrown;
    }
    await this.#deps.memory.save({ ...head, origin: this.#deps.origin });
    this.#known = head;
  }

  /** The stored tree has exactly this root at this size. */
  async #confirm(head: TreeHead): Promise<void> {
    const { reader, sha256 } = this.#deps;
    const { size } = await reader.state();
    if (size < head.size) throw rolledBack(head.size, size);
    const root = await known(head.size, () => rootOf(sha256, head.size, reader.readNode));
    if (!same(root, head.root)) throw rewritten(head.size);
  }

  async #follow(head: TreeHead): Promise<void> {
    const { reader, sha256 } = this.#deps;
    const { size, root } = this.#known;
    const proof = await known(size, () => consistencyPath(sha256, size, head.size, reader.readNode));
    if (!(await verifyConsistency(sha256, size, head.size, root, head.root, proof))) throw rewritten(size);
  }
}

/** The tree as it is stored now. */
export async function headOf({ reader, sha256 }: Pick<TreeGuardDeps, 'reader' | 'sha256'>): Promise<TreeHead> {
  const { size } = await reader.state();
  return { size, root: await rootOf(sha256, size, reader.readNode) };
}

async function known<T>(size: number, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    throw thrown instanceof MissingNode ? rewritten(size) : thrown;
  }
}

const HINT =
  'If this is meant (a backup was restored), let it go on with `strongroom audit acknowledge --reason TEXT`; that is recorded.';

const rolledBack = (remembered: number, size: number) =>
  new LogFault(
    `the audit log was rolled back: this gateway has seen ${remembered} records in it, and the database has ${size}. ${HINT}`,
  );

const rewritten = (size: number) =>
  new LogFault(`the audit log was rewritten: the first ${size} records are not those that were seen before. ${HINT}`);

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at]);
