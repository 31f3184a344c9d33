import type { Log } from '#kernel/log.ts';
import { LogFault, type SignedCheckpoint, type TreeHead, type TreeReader } from './tree.ts';

export interface CheckpointFollowerDeps {
  readonly latest: TreeReader['latest'];
  /** What a note says, if our key signed it. @throws Error when it did not. */
  readonly open: (note: string) => Promise<TreeHead>;
  readonly advance: (head: TreeHead) => Promise<void>;
  readonly confirm: () => Promise<void>;
  readonly onFault: (fault: LogFault) => void;
  readonly log: Log;
}

/** Between two looks: within five seconds every gateway has checked every checkpoint that was the last one then. */
const FOLLOW_MS = 1000;
const POLL_MS = 100;

/** Follows the checkpoints, whoever signs them: each must be signed by the log's key and grow out of what was seen. */
export class CheckpointFollower implements Disposable {
  readonly #deps: CheckpointFollowerDeps;
  #timer: NodeJS.Timeout | null = null;
  #seen = '';
  /** On the clock of `performance.now()`: when another checkpoint was last seen. */
  changedAt = performance.now();
  #closed = false;

  constructor(deps: CheckpointFollowerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setTimeout(async () => {
      const goesOn = await this.look();
      if (goesOn && !this.#closed) this.start();
    }, FOLLOW_MS);
    this.#timer.unref();
  }

  /** False after a fault. That the database can't be read now is none: others say so loudly enough. */
  async look(): Promise<boolean> {
    try {
      const checkpoint = await this.#deps.latest();
      if (checkpoint === null) await this.#deps.confirm();
      else if (checkpoint.note !== this.#seen) await this.#follow(checkpoint);
      return true;
    } catch (error) {
      if (!(error instanceof LogFault)) return true;
      this.#deps.log.error('the audit log is not the one that was seen before', { error });
      this.#deps.onFault(error);
      return false;
    }
  }

  async #follow(checkpoint: SignedCheckpoint): Promise<void> {
    const head = await this.#deps.open(checkpoint.note).catch((cause) => {
      throw new LogFault('the last checkpoint in the database is not signed by the key of this log', { cause });
    });
    await this.#deps.advance(head);
    this.#seen = checkpoint.note;
    this.changedAt = performance.now();
  }

  /** The latest checkpoint of at least `size` records; null if none comes in time. */
  async covering(size: number, waitMs: number): Promise<SignedCheckpoint | null> {
    for (let waited = 0; ; waited += POLL_MS) {
      const checkpoint = await this.#deps.latest();
      if (checkpoint !== null && checkpoint.size >= size) return checkpoint;
      if (waited >= waitMs) return null;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
  }
}
