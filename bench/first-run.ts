import { readFile, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { FirstRun } from '#identity/first-run.ts';
import { findCluster } from '#postgres/embedded-cluster.ts';

/** Asks as JSON. @throws Error for an answer that is not 2xx */
export type Ask = <T>(path: string, token: string, body: unknown) => Promise<T>;

export interface SignedIn {
  /** PEM of the development authority. */
  readonly ca: string;
  readonly ask: Ask;
  readonly token: string;
  readonly subject: string;
  readonly password: string;
}

/** The first run's analyst, over TLS. */
export async function signIn(dataDir: string, port: number): Promise<SignedIn> {
  const { accounts } = JSON.parse(await readFile(join(dataDir, 'first-run.json'), 'utf8')) as FirstRun;
  const { username, password } = accounts.find(({ role }) => role === 'analyst') ?? { username: '', password: '' };
  const ca = await readFile(join(dataDir, 'tls', 'ca.pem'), 'utf8');
  const ask = asker(port, ca);
  const { token, user } = await ask<{ token: string; user: { id: string } }>('/auth/login', '', { username, password });
  return { ca, ask, token, subject: user.id, password };
}

/** Settings of the customer's own gateway are not for this one. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !/^(STRONGROOM_|DATABASE_URL$)/.test(name));
  return Object.fromEntries(kept);
}

function asker(port: number, ca: string): Ask {
  return <T>(path: string, token: string, body: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
      const options = { host: '127.0.0.1', port, path, method: 'POST', ca, servername: 'localhost', headers };
      const request = httpsRequest(options, async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        if ((response.statusCode ?? 500) >= 300) reject(new Error(`${path}: ${response.statusCode} ${text}`));
        else resolve(JSON.parse(text) as T);
      });
      request.on('error', reject);
      request.end(JSON.stringify(body));
    });
}

/** A cluster started as root lies outside its data folder. */
export async function removeCluster(dataDir: string): Promise<void> {
  const pointer = await readFile(join(dataDir, 'postgres.json'), 'utf8').catch(() => null);
  if (pointer === null) return;
  const { home } = await findCluster(dataDir);
  await rm(home, { recursive: true, force: true });
}
