import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { LoadJob, LoadResult } from './load-job.ts';
import type { StreamJob, StreamResult } from './stream-job.ts';

/** A process of a measurement; ended by SIGTERM, and by SIGKILL when that is not heard. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #logFile: string | null;

  private constructor(process: ChildProcess, logFile: string | null) {
    this.process = process;
    this.#logFile = logFile;
  }

  /** Runs a program in `cwd`, whose output goes to a file in `folder`; `stack` ends it. */
  static run(
    stack: AsyncDisposableStack,
    name: string,
    command: string,
    args: readonly string[],
    folder: string,
    env: NodeJS.ProcessEnv = process.env,
    cwd = folder,
  ): Child {
    if (stack.disposed) throw new Error('stopped');
    const logFile = join(folder, `${name}.log`);
    const log = openSync(logFile, 'a');
    const started = spawn(command, args, { cwd, env, stdio: ['ignore', log, log] });
    closeSync(log);
    // Without a listener a program that is not there would end us; `log` and the port that never opens tell.
    started.on('error', () => undefined);
    return stack.use(new Child(started, logFile));
  }

  /** Runs a file of this folder that speaks with us by messages. */
  static fork(file: string): Child {
    return new Child(fork(join(import.meta.dirname, file), { execArgv: [], stdio: 'inherit' }), null);
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get running(): boolean {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Its exit code, or null where a signal ended it or it could not be run. */
  async ended(): Promise<number | null> {
    if (this.running) await once(this.process, 'exit');
    return this.process.exitCode;
  }

  /** What it has written. */
  log(): string {
    return this.#logFile === null ? '' : readFileSync(this.#logFile, 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 60_000);
    await ended;
    clearTimeout(timer);
  }
}

/** A load generator's process; one job at a time. */
export class Load<Job extends { readonly port: number } = LoadJob, Result = LoadResult> implements AsyncDisposable {
  readonly #child: Child;
  readonly #ended: Promise<never>;

  /** `file`: `load.ts` for a closed loop, `open-load.ts` for an open one; `stream-load.ts` has jobs of its own. */
  constructor(file: 'load.ts' | 'open-load.ts' | 'stream-load.ts' = 'load.ts') {
    this.#child = Child.fork(file);
    this.#ended = once(this.#child.process, 'exit').then((): never => {
      throw new Error('the load generator ended');
    });
    // Its end matters only to a job that is under way.
    this.#ended.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** @throws Error when a connection breaks. */
  async run(job: Job): Promise<Result> {
    this.#child.process.send(job);
    const answered = once(this.#child.process, 'message') as Promise<[{ result?: Result; error?: string }]>;
    const [answer] = await Promise.race([answered, this.#ended]);
    if (answer.result === undefined) throw new Error(`load on port ${job.port}: ${answer.error}`);
    return answer.result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** The load that reads streams. */
export const streamLoad = (): Load<StreamJob, StreamResult> => new Load<StreamJob, StreamResult>('stream-load.ts');

/** The mock's process and its port. */
export async function startMock(): Promise<{ readonly child: Child; readonly port: number }> {
  const child = Child.fork('mock.ts');
  const [port] = (await once(child.process, 'message')) as [number];
  return { child, port };
}

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Asks again until `attempt` succeeds. @throws Error with the child's last words when it ends or does not come up. */
export async function comesUp(child: Child, attempt: () => Promise<void>, patienceMs = 60_000): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (!child.running || performance.now() > deadline)
        throw new Error(`did not start:\n${child.log().slice(-2000)}`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
