import type { Engine, ModelStatus } from './engine.ts';

/** All models of the configuration file, each behind its engine, whether in memory or not. */
export class EngineRegistry {
  readonly #engines: ReadonlyMap<string, Engine>;

  constructor(engines: Iterable<readonly [id: string, engine: Engine]>) {
    this.#engines = new Map(engines);
  }

  get ids(): string[] {
    return [...this.#engines.keys()];
  }

  /** In the order of the configuration file. */
  list(): ModelStatus[] {
    return Array.from(this.#engines.values(), (engine) => engine.status());
  }

  /** @returns undefined for a name that is not in the catalogue. */
  get(id: string): Engine | undefined {
    return this.#engines.get(id);
  }

  /** Closes every engine; one that fails to close does not keep the others open. */
  async close(): Promise<void> {
    const results = await Promise.allSettled(Array.from(this.#engines.values(), (engine) => engine.close()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
