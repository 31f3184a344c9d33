import { closeSync, constants, fstat, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type { ApprovedFile } from '#engine/model-spec.ts';
import { stampOf } from './file-memory.files.ts';
import type { FileStamp } from './file-memory.ts';

const look = promisify(fstat);

/** A pipe in a file's place would otherwise hold up whoever opens it until somebody writes into it. */
const HOW = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * A model's files, open as long as a child computes with them. The engine maps them into memory: whoever writes into one in its
 * place changes what the model says from then on, under a digest that is no longer true.
 */
export class OpenedFiles {
  readonly descriptors: readonly number[];
  /** As they were when they were opened. */
  readonly stamps: readonly (readonly [sha256: string, FileStamp])[];
  #isLooking = false;
  #isClosed = false;

  /** @throws Error where one can't be opened */
  constructor(approved: readonly ApprovedFile[]) {
    const descriptors: number[] = [];
    this.descriptors = descriptors;
    try {
      this.stamps = approved.map(({ file, sha256 }) => {
        const descriptor = openSync(file, HOW);
        descriptors.push(descriptor);
        return [sha256, stampOf(descriptor)] as const;
      });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Calls back where one was written to since it was opened. Its names may change, and who may read it. A file system that does
   * not answer holds up nobody: it is not asked again before it has. `done`: it has.
   */
  look(changed: () => void, done: () => void = () => {}): void {
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.#wereWritten()
      .then(
        (isChanged) => isChanged && !this.#isClosed && changed(),
        () => undefined,
      )
      .finally(() => {
        this.#isLooking = false;
        done();
      });
  }

  async #wereWritten(): Promise<boolean> {
    for (const [at, [, stamp]] of this.stamps.entries()) {
      const { size, mtimeNs } = await look(this.descriptors[at] ?? -1, { bigint: true });
      if (size !== stamp.size || mtimeNs !== stamp.modifiedNs) return true;
    }
    return false;
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const descriptor of this.descriptors) closeSync(descriptor);
  }
}
