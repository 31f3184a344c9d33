import { Worker } from 'node:worker_threads';

const MOST_MEMORY_MB = 256;

/** Holds answers against schemas in a thread of its own: what either of them makes it do holds up nobody else. */
export class SchemaJudge {
  readonly #waiting = new Map<number, (fits: boolean) => void>();
  #worker: Worker | null = null;
  #last = 0;

  /** False also where it can't be said: a schema that takes too long, or too much memory. */
  fits(text: string, schema: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const id = ++this.#last;
    this.#waiting.set(id, resolve);
    this.#worker ??= this.#start();
    this.#worker.postMessage({ id, text, schema });
    return promise;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#lose();
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./schema-worker.vm.ts', import.meta.url), {
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY_MB },
    });
    worker.unref();
    worker.on('message', ({ id, fits }: { id: number; fits: boolean }) => {
      this.#waiting.get(id)?.(fits);
      this.#waiting.delete(id);
    });
    worker.on('error', () => {
      if (this.#worker === worker) this.#lose();
    });
    return worker;
  }

  #lose(): void {
    this.#worker = null;
    for (const tell of this.#waiting.values()) tell(false);
    this.#waiting.clear();
  }
}
