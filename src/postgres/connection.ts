import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { Client, type ClientConfig } from 'pg';

export interface ConnectionOptions {
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** The server cancels a statement after this long (SQLSTATE 57014). Default 5,000. */
  readonly statementTimeoutMs?: number;
  /**
   * The driver gives up on a statement after this long and the connection is destroyed: a frozen server sends no error
   * at all. MUST be longer than `statementTimeoutMs`. Default 7,000.
   */
  readonly queryTimeoutMs?: number;
  /** For one connection to be made, or to become free in a pool. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** PEM file with the authorities that a remote server's certificate is checked against; default: Node's. */
  readonly caFile?: string;
  /** Taken from the start, where the login may take it: its rights in place of the login's own. */
  readonly role?: string;
}

/**
 * What `pg` needs for this URL, complete, so that it looks nothing up in PG… environment variables.
 * A server that is not on this machine is spoken to over TLS with its certificate and name verified, or not at all.
 *
 * @throws Error that names the fault and never the URL, which holds a password.
 */
export function clientConfig(url: string, options: ConnectionOptions): ClientConfig {
  const { statementTimeoutMs = 5000, queryTimeoutMs = 7000, connectTimeoutMs = 3000 } = options;
  if (queryTimeoutMs <= statementTimeoutMs) throw new Error('queryTimeoutMs must be longer than statementTimeoutMs');
  const { parsed, host } = parse(url);
  return {
    host,
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username),
    // A function, since `pg` takes an empty string for a missing one and looks into the environment.
    password: () => decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)),
    ssl: tlsFor(host, parsed.searchParams, options.caFile),
    application_name: options.applicationName,
    client_encoding: 'UTF8',
    // Objects are written with their schema; this is for what a statement forgets, and so that nothing else is found.
    options: `-c search_path=strongroom,pg_temp${options.role === undefined ? '' : ` -c role=${options.role}`}`,
    statement_timeout: statementTimeoutMs,
    lock_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: 30_000,
    query_timeout: queryTimeoutMs,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/** The login name of a database URL. */
export const loginOf = (url: string): string => decodeURIComponent(parse(url).parsed.username);

/**
 * One connection outside any pool, for what must keep its session: LISTEN, advisory locks, migrations.
 * The caller ends it. A connection that breaks later rejects what is under way; `client.on('end')` tells.
 */
export async function openConnection(url: string, options: ConnectionOptions): Promise<Client> {
  const client = new Client(clientConfig(url, options));
  // Without a listener a broken connection would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    destroyConnection(client);
    throw error;
  }
}

/** Cuts the connection without asking the server, which may be frozen and never answer a farewell. */
export const destroyConnection = (client: Client): void => {
  client.connection.stream.destroy();
};

/** True where the driver, not the server, gave up waiting: the answer to that statement may still be on its way. */
export const isReadTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message === 'Query read timeout';

/** The SQLSTATE of an error that the server reported; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const NO_HOST = 'none.invalid';

function parse(url: string): { parsed: URL; host: string } {
  let parsed: URL;
  try {
    // A URL with a login and no host, as it is written for sockets, is none to the WHATWG: it gets a host to ignore.
    parsed = new URL(url.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)\//, `$1${NO_HOST}/`));
  } catch {
    throw new Error('the database URL is not a URL');
  }
  if (parsed.protocol !== 'postgres:' && parsed.protocol !== 'postgresql:') {
    throw new Error('the database URL must begin with postgres://');
  }
  for (const name of parsed.searchParams.keys()) {
    if (!['sslmode', 'host'].includes(name))
      throw new Error(`the database URL has the parameter ${name}, which is not known`);
  }
  const socket = parsed.searchParams.get('host');
  // A host in the parameters would override the one that everybody reads; only a socket's folder is taken from there.
  const named = parsed.hostname === NO_HOST ? '' : decodeURIComponent(parsed.hostname).replace(/^\[(.*)\]$/, '$1');
  if (socket !== null && (!socket.startsWith('/') || named !== '')) {
    throw new Error('the parameter host of the database URL may only name the folder of a Unix socket');
  }
  const host = socket ?? named;
  if (host === '') throw new Error('the database URL names no host');
  if (parsed.username === '') throw new Error('the database URL names no login');
  if (parsed.pathname.length < 2) throw new Error('the database URL names no database');
  return { parsed, host };
}

function tlsFor(host: string, parameters: URLSearchParams, caFile?: string): ClientConfig['ssl'] {
  const mode = parameters.get('sslmode');
  const isLocal = host.startsWith('/') || isLoopback(host);
  if (isLocal && (mode === null || mode === 'disable')) return false;
  if (mode !== null && mode !== 'verify-full') {
    const reason = isLocal ? 'sslmode must be disable or verify-full' : 'a remote database needs sslmode=verify-full';
    throw new Error(`${reason}, not ${mode}`);
  }
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') };
  return { ...ca, rejectUnauthorized: true, minVersion: 'TLSv1.2' };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
