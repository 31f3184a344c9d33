import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** Who sits at the browser: what the provider knows of him, and how he has proved who he is. */
export interface BankUser {
  readonly sub: string;
  readonly acr?: string;
  readonly amr?: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The identity provider of a bank: npm oidc-provider in a child without the gateway's hardening. */
export class BankProvider implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly issuer: string;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.issuer = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<BankProvider> {
    const child = fork(new URL('./bank-provider.mjs', import.meta.url).pathname, [], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new BankProvider(child, port);
  }

  register(client: {
    clientId: string;
    clientSecret: string;
    redirectUri: string;
    logoutUri?: string;
  }): Promise<unknown> {
    return this.#tell({ start: client });
  }
  /** A logout token of this provider's for one of its sessions, or for all of a user. */
  async logoutToken(clientId: string, sub: string, sid?: string): Promise<string> {
    return ((await this.#tell({ logout: { clientId, sub, sid } })) as { token: string }).token;
  }
  /** Sends one itself to the registered address, as it does when its user signs out. `ca`: whom it trusts for that. */
  signsOut(clientId: string, sub: string, sid: string, ca: string): Promise<unknown> {
    return this.#tell({ logout: { clientId, sub, sid, ca } });
  }
  becomes(user: BankUser): Promise<unknown> {
    return this.#tell({ user });
  }

  /** Follows the provider's redirects as a new browser does, until it sends it back to the gateway. */
  async visit(url: string): Promise<URL> {
    const cookies = new Map<string, string>();
    let at = new URL(url);
    for (let hops = 0; hops < 10 && at.href.startsWith(this.issuer); hops++) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
      for (const one of answer.headers.getSetCookie()) {
        const [name = '', value = ''] = (one.split(';', 1)[0] ?? '').split('=', 2);
        cookies.set(name, value);
      }
      const location = answer.headers.get('location');
      if (location === null) throw new Error(`the provider answered ${answer.status}: ${await answer.text()}`);
      at = new URL(location, at);
    }
    return at;
  }

  async #tell(message: object): Promise<unknown> {
    const answered = once(this.#child, 'message');
    this.#child.send(message);
    return (await answered)[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}
