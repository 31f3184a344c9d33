import { openConnection } from '#postgres/connection.ts';
import { pendingMigrations } from '#postgres/migrate.ts';
import { checkRuntimeLogin } from '#postgres/separation.ts';
import type { DatabaseFacts } from './database.ts';

interface Logins {
  readonly runtime: string;
  readonly auditor: string;
  readonly signer: string;
  readonly caFile: string | undefined;
}

/**
 * Asks each login, over connections of its own.
 *
 * @param now milliseconds since the epoch
 * @throws Error that says why: not reached, refused, or unsafe in a way that stops the start
 */
export async function readDatabase(
  { runtime, auditor, signer, caFile }: Logins,
  migrations: string,
  now: () => number,
): Promise<Omit<DatabaseFacts, 'embedded'>> {
  const tls = caFile === undefined ? {} : { caFile };
  const separations = await Promise.all(
    [...new Set([runtime, auditor, signer])].map(async (url) => {
      const client = await openConnection(url, { applicationName: 'strongroom-doctor', ...tls });
      return checkRuntimeLogin(client).finally(() => client.end());
    }),
  );
  const client = await openConnection(runtime, { applicationName: 'strongroom-doctor', ...tls });
  try {
    const pending = await pendingMigrations(client, migrations);
    const { rows } = await client.query<Record<'version' | 'fsync' | 'pages' | 'commit' | 'remote' | 'tls', string>>(
      `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
              current_setting('full_page_writes') AS pages, current_setting('synchronous_commit') AS commit,
              coalesce(inet_client_addr() <> inet_server_addr(), false)::text AS remote,
              coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::text AS tls`,
    );
    const began = now();
    const clock = await client.query<{ at: string }>('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS at');
    const ended = now();
    const { version = '', fsync = '', pages = '', commit = '', remote, tls: encrypted } = rows[0] ?? {};
    return {
      version: version.split(' ')[0] ?? '',
      fsync,
      fullPageWrites: pages,
      synchronousCommit: commit,
      remote: remote === 'true',
      encrypted: encrypted === 'true',
      separation: separations.some(({ separation }) => separation === 'reduced') ? 'reduced' : 'full',
      pending: pending.length,
      aheadMs: Number(clock.rows[0]?.at) - (began + ended) / 2,
      exactMs: (ended - began) / 2 + 1,
    };
  } finally {
    await client.end();
  }
}
