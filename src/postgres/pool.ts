import { Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import type { Log } from '#kernel/log.ts';
import { type ConnectionOptions, clientConfig, destroyConnection, isReadTimeout } from './connection.ts';

export interface PoolOptions extends ConnectionOptions {
  /** Connections at most. Default 10. */
  readonly max?: number;
  readonly log: Log;
}

/** Something that runs statements: a pool, or one connection of it. */
export interface Queryable {
  query<R extends QueryResultRow>(
    statement: string | { readonly name: string; readonly text: string; readonly values: unknown[] },
    values?: unknown[],
  ): Promise<QueryResult<R>>;
}

const FAREWELL_MS = 2000;

/**
 * `pg`'s pool with its gaps closed: a statement that the driver gave up on destroys its connection (else the next user
 * would wait behind it, or read its answer), a connection that breaks at any time is logged and never ends the process,
 * and closing does not wait for a server that is frozen. `int8` and `numeric` arrive as strings.
 */
export class GuardedPool extends Pool implements AsyncDisposable {
  readonly #clients = new Set<PoolClient>();
  #closing: Promise<void> | undefined;

  constructor(url: string, options: PoolOptions) {
    super({ ...clientConfig(url, options), max: options.max ?? 10, idleTimeoutMillis: 60_000 });
    this.on('connect', (client) => {
      this.#clients.add(client);
      // Stays for good: the pool listens only while a connection is idle.
      client.on('error', (error) => options.log.warn('a database connection broke', { error }));
      destroyOnReadTimeout(client);
    });
    this.on('remove', (client) => this.#clients.delete(client));
    // Every connection has its own listener above; the pool repeats what idle ones say.
    this.on('error', () => undefined);
  }

  /** Lends one connection for the time of `work`. One that is broken or left in a transaction is not used again. */
  async lend<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.connect();
    try {
      return await work(client);
    } finally {
      // What is still in a transaction would hand its locks and its role to the next user.
      client.release(client.connection.stream.destroyed || client.getTransactionStatus() !== 'I');
    }
  }

  /** Ends all connections; those that do not close in 2 s are cut. Repeatable. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const cut = setTimeout(() => {
      for (const client of this.#clients) destroyConnection(client);
    }, FAREWELL_MS);
    await this.end();
    // The pool is satisfied once it has said farewell; a socket to a frozen server would still hold the process.
    await new Promise<void>((resolve) => {
      const look = () => this.#clients.size === 0 && resolve();
      this.on('remove', look);
      look();
    });
    clearTimeout(cut);
  }
}

/** Opens no connection yet: the first statement does. */
export const openPool = (url: string, options: PoolOptions): GuardedPool => new GuardedPool(url, options);

/**
 * A statement that each connection parses and plans once. `name` is unique for its text over the whole program and at
 * most 63 bytes long, or Postgres would confuse it with another.
 */
export function prepared<R extends QueryResultRow>(
  name: string,
  text: string,
): (on: Queryable, ...values: unknown[]) => Promise<QueryResult<R>> {
  if (Buffer.byteLength(name) > 63) throw new Error(`the statement name ${name} is too long`);
  return (on, ...values) => on.query<R>({ name, text, values });
}

/** The driver only reports a timeout and leaves the statement running on a connection that looks healthy. */
function destroyOnReadTimeout(client: PoolClient): void {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  const guarded = (...args: unknown[]): unknown => {
    const result = query(...args);
    // With a callback there is no promise; that is how the pool's own query() calls, and it discards the connection.
    if (result instanceof Promise) {
      result.catch((error: unknown) => {
        if (isReadTimeout(error)) destroyConnection(client);
      });
    }
    return result;
  };
  client.query = guarded as PoolClient['query'];
}
