import { resolve } from 'node:path';
import { defaultServer, forgetSession, readSession, resultOf, saveSession, send } from './client.ts';
import { openTerminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

/** `login [USERNAME] [--url URL] [--ca FILE]`: asks password and code, keeps the session in a 0600 file. */
export async function login({ words, options, json }: Invocation): Promise<number> {
  using terminal = openTerminal();
  const fallback = defaultServer();
  const server = {
    url: options.url ?? fallback.url,
    caFile: options.ca === undefined ? (options.url === undefined ? fallback.caFile : null) : resolve(options.ca),
  };
  const username = words[0] ?? (await terminal.ask('Username: '));
  const password = await terminal.askSecret('Password: ');
  let answer = await send(server, 'POST', '/auth/login', { username, password });
  if (answer.body['code'] === 'code_required') {
    const code = await terminal.ask('Code of your second factor (or a recovery code): ');
    answer = await send(server, 'POST', '/auth/login', { username, password, code });
  }
  const { token, expires_at: expiresAt, user } = resultOf(answer);
  const file = await saveSession({ ...server, token: String(token) });
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, user, expires_at: expiresAt, file })}\n`);
  else process.stdout.write(`Signed in to ${server.url} as ${username} until ${String(expiresAt)}.\n`);
  return 0;
}

/** `logout`: ends the session on the server and forgets it here. */
export async function logout({ json }: Invocation): Promise<number> {
  const session = await readSession();
  await send(session, 'POST', '/auth/logout');
  await forgetSession();
  process.stdout.write(json ? '{"ok":true}\n' : 'Signed out.\n');
  return 0;
}
