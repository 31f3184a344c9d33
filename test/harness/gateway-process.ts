import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FirstRun, FirstRunAccount } from '#identity/first-run.ts';
import { eventually, type Role, temporaryFolder } from './gateway.ts';
import { GatewayDatabase } from './gateway-database.ts';
import { HttpsClient } from './https-client.ts';

export const PROGRAM = new URL('../../src/strongroom.mjs', import.meta.url).pathname;
/** Settings of the shell that runs the tests are not settings of the gateway under test. */
const BARE = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('STRONGROOM_') && name !== 'DATABASE_URL'),
);

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line to its end; `typed` is what it reads. */
export async function runStrongroom(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  cwd?: string,
  typed = '',
): Promise<Ended> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...BARE, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(typed);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

/** The real process, `src/strongroom.mjs serve`, for signals and for what it writes. */
export class GatewayProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly #child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout = '';
  stderr = '';
  #client: HttpsClient | null = null;
  #database: GatewayDatabase | null = null;
  #firstRun: FirstRun | null = null;

  private constructor(dataDir: string, child: ChildProcess) {
    this.dataDir = dataDir;
    this.#child = child;
    this.ended = once(child, 'close').then(([code]) => code as number | null);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  /** Resolves when it listens. `config` is JSON, which is YAML. */
  static async start(config: object = {}, dataDir?: string): Promise<GatewayProcess> {
    const folder = dataDir ?? (await temporaryFolder());
    const file = join(folder, 'strongroom.yaml');
    await writeFile(file, JSON.stringify({ metrics: { listen: '127.0.0.1:0' }, ...config }));
    const child = spawn(process.execPath, [PROGRAM, 'serve'], {
      env: { ...BARE, STRONGROOM_CONFIG: file, STRONGROOM_DATA_DIR: folder, STRONGROOM_HTTP__PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new GatewayProcess(folder, child);
    await started.#listening();
    return started;
  }

  async #listening(): Promise<void> {
    const gone = this.ended.then((code) => {
      throw new Error(`the gateway ended with ${code}: ${this.stderr}`);
    });
    gone.catch(() => undefined);
    const port = await Promise.race([
      gone,
      eventually(() => /Strongroom is at https:\/\/localhost:(\d+)/.exec(this.stdout)?.[1]),
    ]);
    this.#client = new HttpsClient(Number(port), await readFile(join(this.dataDir, 'tls', 'ca.pem')));
    this.#database = await GatewayDatabase.of(this.dataDir);
    this.#firstRun = JSON.parse(await readFile(join(this.dataDir, 'first-run.json'), 'utf8')) as FirstRun;
  }

  get client(): HttpsClient {
    if (this.#client === null) throw new Error('not listening');
    return this.#client;
  }
  get database(): GatewayDatabase {
    if (this.#database === null) throw new Error('not listening');
    return this.#database;
  }
  get metricsUrl(): string {
    return /metrics at (http:\S+)\)/.exec(this.stdout)?.[1] ?? '';
  }

  account(role: Role): FirstRunAccount {
    const found = this.#firstRun?.accounts.find((account) => account.role === role);
    if (found === undefined) throw new Error('no such account');
    return found;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until it has logged this. */
  logged(message: string): Promise<boolean> {
    return eventually(() => this.stderr.includes(`"msg":"${message}"`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.[Symbol.dispose]();
    this.#child.kill('SIGKILL');
    await this.ended;
    await this.#database?.remove();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
