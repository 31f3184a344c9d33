import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, temporaryFolder } from '../harness/gateway.ts';
import { HttpsClient } from '../harness/https-client.ts';
import type { TestDatabase } from '../harness/postgres.ts';

const PROGRAM = new URL('../../src/strongroom.mjs', import.meta.url).pathname;
const BARE = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('STRONGROOM_') && name !== 'DATABASE_URL'),
);

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  json<T = Record<string, unknown>>(): T;
}

/** Somebody at a terminal: a home of his own, a configuration, and a database that is the customer's. */
export class CommandLine implements AsyncDisposable {
  readonly folder: string;
  readonly home: string;
  readonly #database: TestDatabase;
  #gateway: ChildProcess | null = null;
  #client: HttpsClient | null = null;
  url = '';
  /** What the gateway has said so far. */
  output = '';

  private constructor(folder: string, database: TestDatabase) {
    this.folder = folder;
    this.home = join(folder, 'home');
    this.#database = database;
  }

  static async open(database: TestDatabase, config: object = {}): Promise<CommandLine> {
    const line = new CommandLine(await temporaryFolder(), database);
    await mkdir(line.home);
    await writeFile(join(line.folder, 'auditor.url'), database.auditorUrl, { mode: 0o600 });
    const settings = {
      dataDir: join(line.folder, 'data'),
      metrics: { listen: '127.0.0.1:0' },
      http: { port: 0, drainSeconds: 1 },
      database: { auditorUrlFile: join(line.folder, 'auditor.url') },
      keys: {
        sealFile: join(line.folder, 'keys', 'seal.key'),
        checkpointFile: join(line.folder, 'keys', 'checkpoint.key'),
      },
      ...config,
    };
    await writeFile(join(line.folder, 'strongroom.yaml'), JSON.stringify(settings));
    return line;
  }

  get sessionFile(): string {
    return join(this.home, '.local', 'state', 'strongroom', 'session.json');
  }
  get caFile(): string {
    return join(this.folder, 'data', 'tls', 'ca.pem');
  }
  get client(): HttpsClient {
    if (this.#client === null) throw new Error('the gateway does not run');
    return this.#client;
  }

  /** Runs one command to its end; `answers` are typed, a line each. */
  async run(args: readonly string[], answers: readonly string[] = []): Promise<Ended> {
    const child = this.#spawn(args);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(answers.map((answer) => `${answer}\n`).join(''));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...output, json: <T>() => JSON.parse(output.stdout) as T };
  }

  /** Runs one command whose questions are answered by what it has shown; each answer waits for its question. */
  async talk(
    args: readonly string[],
    turns: readonly (readonly [RegExp, (shown: string) => string])[],
  ): Promise<Ended> {
    const child = this.#spawn(args);
    const output = { stdout: '', stderr: '', seen: 0 };
    const waiting = [...turns];
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
        const [turn] = waiting;
        const found = turn?.[0].exec(output.stderr.slice(output.seen));
        if (turn === undefined || !found) return;
        output.seen += found.index + found[0].length;
        waiting.shift();
        child.stdin?.write(`${turn[1](output.stderr)}\n`);
      });
    child.stdin?.on('error', () => undefined);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout: output.stdout, stderr: output.stderr, json: <T>() => JSON.parse(output.stdout) as T };
  }

  /** Starts the gateway; resolves when it listens. */
  async serve(): Promise<void> {
    const child = this.#spawn(['serve']);
    this.#gateway = child;
    const output = { text: '', ended: false };
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output.text += text;
        this.output = output.text;
      });
    child.once('close', () => {
      output.ended = true;
    });
    const port = await eventually(() => {
      if (output.ended) throw new Error(`the gateway ended: ${output.text}`);
      return /Strongroom is at https:\/\/localhost:(\d+)/.exec(output.text)?.[1];
    });
    this.url = `https://localhost:${port}`;
    this.#client = new HttpsClient(Number(port), await readFile(this.caFile));
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [PROGRAM, ...args], {
      env: {
        ...BARE,
        HOME: this.home,
        DATABASE_URL: this.#database.runtimeUrl,
        STRONGROOM_CONFIG: join(this.folder, 'strongroom.yaml'),
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.[Symbol.dispose]();
    if (this.#gateway !== null && this.#gateway.exitCode === null) {
      const ended = once(this.#gateway, 'close');
      this.#gateway.kill('SIGTERM');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
