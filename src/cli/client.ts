import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig } from '#config/load.ts';
import type { Terminal } from './terminal.ts';

/** Where `strongroom login` keeps its session, mode 0600. */
const FOLDER = join(homedir(), '.local', 'state', 'strongroom');
const SESSION_FILE = join(FOLDER, 'session.json');

export interface ClientSession {
  readonly url: string;
  /** PEM that the server must chain to; null: the system's. */
  readonly caFile: string | null;
  readonly token: string;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** The gateway at its default address, for `login` without --url. */
export function defaultServer(): { url: string; caFile: string | null } {
  const { config, base } = loadConfig();
  const caFile = join(resolve(base, config.dataDir), 'tls', 'ca.pem');
  return {
    url: config.http.publicUrl ?? `https://localhost:${config.http.port}`,
    caFile: config.tls.certFile === undefined && existsSync(caFile) ? caFile : null,
  };
}

export async function saveSession(session: ClientSession): Promise<string> {
  await mkdir(FOLDER, { recursive: true, mode: 0o700 });
  await writeFile(`${SESSION_FILE}.new`, JSON.stringify(session), { mode: 0o600 });
  await rename(`${SESSION_FILE}.new`, SESSION_FILE);
  return SESSION_FILE;
}

export const forgetSession = (): Promise<void> => rm(SESSION_FILE, { force: true });

/** @throws Error that says to sign in first */
export async function readSession(): Promise<ClientSession> {
  try {
    return JSON.parse(await readFile(SESSION_FILE, 'utf8')) as ClientSession;
  } catch {
    throw new Error('not signed in: run `strongroom login` first');
  }
}

/**
 * The command line's way to the HTTPS API: no door without a second factor. An operation that asks for one shows the
 * server's own sentence, asks the code and is sent once more with the proof.
 *
 * @throws Error with the problem's detail
 */
export class Client {
  readonly #session: ClientSession;
  readonly #terminal: Terminal;

  constructor(session: ClientSession, terminal: Terminal) {
    this.#session = session;
    this.#terminal = terminal;
  }

  /** A call whose body and answer are bytes. */
  async callBytes(path: string, type: string, bytes: Uint8Array): Promise<Uint8Array> {
    const { status, raw } = await exchange(this.#session, 'POST', path, Buffer.from(bytes), { 'content-type': type });
    if (status >= 400) resultOf({ status, body: jsonOf(raw, this.#session.url) });
    return raw;
  }

  async call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const first = await send(this.#session, method, path, body);
    if (first.body['code'] !== 'step_up_required') return resultOf(first);
    process.stderr.write(`${String(first.body['operation'])}\n`);
    if (first.body['factors'] === 'passkey')
      throw new Error('a passkey needs a browser: do this in the portal, or set up an authenticator app beside it');
    const code = await this.#terminal.ask('Code of your second factor: ');
    const proof = await send(this.#session, 'POST', '/auth/step-up', { challenge: first.body['challenge'], code });
    return resultOf(
      await send(this.#session, method, path, body, { 'step-up-proof': String(resultOf(proof)['proof']) }),
    );
  }
}

export function resultOf({ status, body }: Answer): Record<string, unknown> {
  if (status < 400) return body;
  const error = body['error'] as { message?: string } | undefined;
  throw new Error(String(error?.message ?? body['detail'] ?? `the server answered ${status}`));
}

/** One request with JSON, or with nothing. */
export async function send(
  session: Omit<ClientSession, 'token'> & { readonly token?: string },
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const [payload, type] =
    body === undefined ? [undefined, {}] : [JSON.stringify(body), { 'content-type': 'application/json' }];
  const { status, raw } = await exchange(session, method, path, payload, { ...type, ...headers });
  return { status, body: jsonOf(raw, session.url) };
}

function jsonOf(raw: Buffer, url: string): Record<string, unknown> {
  try {
    return raw.length === 0 ? {} : (JSON.parse(raw.toString('utf8')) as Record<string, unknown>);
  } catch {
    throw new Error(`the server at ${url} does not speak JSON: is it a Strongroom?`);
  }
}

/** An answer that is taken as it comes. Dispose of it also where it was not read to its end. */
interface Download extends AsyncDisposable {
  readonly chunks: AsyncIterable<Buffer>;
}

/** @throws Error with the problem's detail, where it is refused. */
export async function download(session: ClientSession, path: string): Promise<Download> {
  const incoming = await openExchange(session, 'GET', path, undefined, {});
  const status = incoming.statusCode ?? 0;
  if (status >= 400) resultOf({ status, body: jsonOf(await wholeOf(incoming), session.url) });
  return {
    chunks: incoming as AsyncIterable<Buffer>,
    [Symbol.asyncDispose]: async () => {
      incoming.destroy();
    },
  };
}

async function wholeOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function exchange(
  session: Omit<ClientSession, 'token'> & { readonly token?: string },
  ...asked: readonly [string, string, string | Buffer | undefined, Readonly<Record<string, string>>]
): Promise<{ readonly status: number; readonly raw: Buffer }> {
  const incoming = await openExchange(session, ...asked);
  return { status: incoming.statusCode ?? 0, raw: await wholeOf(incoming) };
}

/** One request over TLS 1.3, up to the head of its answer. */
async function openExchange(
  { url, caFile, token }: Omit<ClientSession, 'token'> & { readonly token?: string },
  method: string,
  path: string,
  payload: string | Buffer | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<IncomingMessage> {
  const ca = caFile === null ? undefined : await readFile(caFile);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  // With its length: what is written before the head has gone out would be sent in chunks of unknown size.
  const length = payload === undefined ? {} : { 'content-length': Buffer.byteLength(payload) };
  return new Promise((done, fail) => {
    const outgoing = request(
      new URL(path, url),
      {
        method,
        minVersion: 'TLSv1.3',
        ...(ca === undefined ? {} : { ca }),
        headers: { ...length, ...authorization, ...headers },
      },
      done,
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      fail(
        new Error(`no answer from ${url} (${error.code ?? error.message}); is the gateway running, and is --ca right?`),
      ),
    );
    outgoing.end(payload);
  });
}
