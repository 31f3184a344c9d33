import { escapeIdentifier, type PoolClient } from 'pg';
import { sqlStateOf } from './connection.ts';
import type { GuardedPool } from './pool.ts';

export interface TransactionOptions {
  /** Database role for this transaction alone (`SET LOCAL ROLE`). */
  readonly role?: string;
  readonly readOnly?: boolean;
  /** Default: the server's, READ COMMITTED. */
  readonly isolation?: 'repeatable read' | 'serializable';
}

/** The connection was lost between COMMIT and its answer: what the transaction did may or may not have happened. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
}

/**
 * Runs `work` in one transaction and commits it when `work` resolves; anything it throws rolls back and is thrown on.
 *
 * `work` MUST use the client that it is given, and MUST NOT keep it. When this resolves, the transaction is committed.
 *
 * @throws CommitUnknown when the server did not say whether it committed.
 */
export function inTransaction<T>(
  pool: GuardedPool,
  options: TransactionOptions,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  return pool.lend(async (client) => {
    await client.query(opening(options));
    try {
      const result = await work(client);
      await commit(client);
      return result;
    } catch (error) {
      if (mayAnswer(client)) await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
}

/** One message for all of it, so that opening costs one round trip. */
function opening({ role, readOnly = false, isolation }: TransactionOptions): string {
  const level = isolation === undefined ? '' : ` ISOLATION LEVEL ${isolation.toUpperCase()}`;
  const begin = `BEGIN${level}${readOnly ? ' READ ONLY' : ''}`;
  return role === undefined ? begin : `${begin}; SET LOCAL ROLE ${escapeIdentifier(role)}`;
}

async function commit(client: PoolClient): Promise<void> {
  try {
    const { command } = await client.query('COMMIT');
    // Where `work` swallowed an SQL error, Postgres answers COMMIT with ROLLBACK and no error at all.
    if (command !== 'COMMIT') throw new Error('the transaction had failed and was rolled back');
  } catch (error) {
    // An SQL error (a deferred constraint, say) is an answer: it did not commit.
    if (sqlStateOf(error) !== undefined || client.getTransactionStatus() === 'I') throw error;
    throw new CommitUnknown('the server did not say whether it committed', { cause: error });
  }
}

/** False once the driver has cut the connection: then the server rolls back, and nothing more can be asked. */
const mayAnswer = (client: PoolClient): boolean =>
  !client.connection.stream.destroyed && client.getTransactionStatus() !== 'I';
