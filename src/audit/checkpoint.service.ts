import type { Log } from '#kernel/log.ts';
import { rootOf, type Sha256 } from './merkle.shared.ts';
import { type Leadership, LogFault, MissingNode, type TreeHead, type TreeReader } from './tree.ts';

export interface CheckpointSignerDeps {
  /** Null while another gateway leads. */
  readonly lead: () => Promise<Leadership | null>;
  /** Gives the right to lead back, whatever state it is in. Does not wait. */
  readonly resign: () => void;
  readonly reader: Pick<TreeReader, 'readNode' | 'latest'>;
  /** Refuses a tree that did not grow out of the remembered one, and remembers it. */
  readonly advance: (head: TreeHead) => Promise<void>;
  readonly sign: (head: TreeHead) => Promise<string>;
  readonly onFault: (fault: LogFault) => void;
  readonly sha256: Sha256;
  readonly log: Log;
}

/** Leaves that one statement takes into the tree: 40 ms or so. */
const BATCH = 8192;
/** Between two looks of the leader; a checkpoint follows its records within a second. */
const LEADING_MS = 400;
/** Between two attempts to lead. */
const WAITING_MS = 1000;
/** A last checkpoint on the way out may take so long. */
const FAREWELL_MS = 1000;

/**
 * The one that extends the tree and signs it, while no other gateway does. A tree is signed only after it was found to
 * grow out of what this gateway remembers, and after that is on disk: whatever happens in between, nothing smaller and
 * nothing else is ever signed.
 */
export class CheckpointSigner implements AsyncDisposable {
  readonly #deps: CheckpointSignerDeps;
  #leadership: Leadership | null = null;
  /** Size of the last checkpoint that is published. */
  #signed = 0;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #closed = false;
  #troubled = false;

  constructor(deps: CheckpointSignerDeps) {
    this.#deps = deps;
  }

  get leads(): boolean {
    return this.#leadership !== null;
  }

  start(): void {
    this.#schedule(0);
  }

  #schedule(delay: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#running = this.turn().then((next) => {
        this.#running = null;
        if (next !== null) this.#schedule(next);
      });
    }, delay);
    this.#timer.unref();
  }

  /** One look: leads if it can, extends and signs. Resolves with the pause until the next, null after a fault. */
  async turn(): Promise<number | null> {
    try {
      const behind = await this.#work();
      this.#troubled = false;
      return behind ? 0 : this.leads ? LEADING_MS : WAITING_MS;
    } catch (error) {
      this.#leadership = null;
      this.#deps.resign();
      if (error instanceof LogFault || error instanceof MissingNode) {
        this.#deps.log.error('the audit log is not the one that was signed before; nothing more is signed', { error });
        this.#deps.onFault(error instanceof LogFault ? error : new LogFault(error.message, { cause: error }));
        return null;
      }
      if (!this.#troubled && !this.#closed) this.#deps.log.warn('checkpoints can not be signed now', { error });
      this.#troubled = true;
      return WAITING_MS;
    }
  }

  /** True while there are records that the tree does not cover yet. */
  async #work(): Promise<boolean> {
    const { lead, reader, advance, sign, sha256, log } = this.#deps;
    if (this.#leadership === null) {
      this.#leadership = await lead();
      if (this.#leadership === null) return false;
      this.#signed = (await reader.latest())?.size ?? 0;
      log.info('this gateway signs the checkpoints', { count: this.#signed });
    }
    const state = await this.#leadership.extend(BATCH);
    if (state.size > this.#signed) {
      const head = { size: state.size, root: await rootOf(sha256, state.size, reader.readNode) };
      await advance(head);
      await this.#leadership.publish({ ...head, note: await sign(head) });
      this.#signed = head.size;
    }
    return state.log > state.size;
  }

  /** Signs what is there, if that can be done at once, and leaves the lead to others. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    const farewell = async () => {
      await this.#running;
      while (this.leads && (await this.turn()) === 0);
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, FAREWELL_MS);
    await Promise.race([farewell(), promise]);
    clearTimeout(timer);
    this.#deps.resign();
  }
}
