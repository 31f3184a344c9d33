import { resolve } from 'node:path';
import { renderUnicodeCompact } from 'uqr';
import { defaultServer, resultOf, send } from './client.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import type { Invocation } from './verbs.ts';

interface Server {
  readonly url: string;
  readonly caFile: string | null;
}

/**
 * `enrol LINK [--factor] [--ca FILE]`: chooses the password that an invitation asks for and, where the account needs it or
 * --factor asks for it, sets up the second factor with a QR code in the terminal.
 */
export async function enrol({ words, options, json }: Invocation): Promise<number> {
  const { origin, token } = linkOf(words[0] ?? '');
  const server = { url: origin, caFile: options.ca === undefined ? defaultCa(origin) : resolve(options.ca) };
  using terminal = openTerminal();
  const password = await terminal.askSecret('New password: ');
  if ((await terminal.askSecret('Once more: ')) !== password) throw new Error('these two are not the same');
  const account = resultOf(await send(server, 'POST', '/auth/enrol', { token, password }));
  const username = String(account['username']);
  process.stderr.write(`The password of ${username} is set.\n`);
  const codes =
    account['must_enrol'] === true || options.factor === true
      ? await setUpFactor(server, username, password, terminal)
      : null;
  if (json) process.stdout.write(`${JSON.stringify({ ok: true, username, recovery_codes: codes })}\n`);
  else {
    if (codes !== null)
      process.stdout.write(
        `Recovery codes, each good once in place of a code. Keep them apart from your device:\n\n${codes.join('\n')}\n\n`,
      );
    process.stdout.write(`Now sign in: strongroom login ${username} --url ${origin}\n`);
  }
  return 0;
}

function linkOf(text: string): { origin: string; token: string } {
  const [, token] = /#\/enrol\/(sre_[A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  if (token === undefined || !URL.canParse(text)) throw new Error('this is no enrolment link: copy the whole of it');
  return { origin: new URL(text).origin, token };
}

/** The development authority of a gateway on this machine; else the system's. */
function defaultCa(origin: string): string | null {
  const { caFile } = defaultServer();
  return new URL(origin).hostname === 'localhost' ? caFile : null;
}

/** Signs in for this alone; activating the factor ends that session. */
async function setUpFactor(
  server: Server,
  username: string,
  password: string,
  terminal: Terminal,
): Promise<readonly string[]> {
  const { token } = resultOf(await send(server, 'POST', '/auth/login', { username, password }));
  const session = { ...server, token: String(token) };
  const { secret, uri } = resultOf(await send(session, 'POST', '/auth/totp/enrol', { password }));
  process.stderr.write(
    `\n${renderUnicodeCompact(String(uri))}\n\nScan this with an authenticator app, or type ${String(secret)}\n${String(uri)}\n`,
  );
  for (;;) {
    const code = await terminal.ask('Code that it shows: ');
    const answer = await send(session, 'POST', '/auth/totp/activate', { code });
    if (answer.body['code'] === 'invalid_credentials' || answer.status === 422)
      process.stderr.write('This code is not right. Take the next one.\n');
    else return resultOf(answer)['recovery_codes'] as string[];
  }
}
