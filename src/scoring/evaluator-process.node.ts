import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Problem } from '#kernel/problem.ts';
import {
  type ChildMessage,
  type Evaluated,
  type Evaluation,
  type ParentMessage,
  readChildMessage,
} from './evaluation.ts';

export interface ProcessLimits {
  /** From the start of the process until SEAL is loaded. */
  readonly startMs: number;
  /** One evaluation, the making of SEAL's tables included. */
  readonly evaluateMs: number;
  /** Resident memory of the process. */
  readonly memoryBytes: number;
}

const CHILD = fileURLToPath(new URL('./evaluator-child.seal.ts', import.meta.url));
const FLAGS = ['--disallow-code-generation-from-strings', '--disable-proto=throw'];
const WATCH_MS = 100;
const PAGE_BYTES = 4096;

/** One expendable process. It takes one evaluation at a time. */
export class EvaluatorProcess {
  readonly #child: ChildProcess;
  readonly #limits: ProcessLimits;
  readonly #ready = Promise.withResolvers<void>();
  #answer: PromiseWithResolvers<Extract<ChildMessage, { t: 'evaluated' | 'refused' }>> | null = null;
  #session: string | null = null;
  #gone = false;
  #why = 'its process ended';

  constructor(limits: ProcessLimits, onGone: () => void) {
    this.#limits = limits;
    this.#child = fork(CHILD, {
      // Of our environment it gets nothing: it needs nothing.
      env: { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '1' },
      execArgv: FLAGS,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('message', (value) => this.#receive(value));
    const end = () => {
      if (this.#gone) return;
      this.#gone = true;
      const failure = new Problem(
        'engine_failed',
        { message: 'The evaluation stopped before it was complete.' },
        this.#why,
      );
      this.#ready.reject(failure);
      this.#answer?.reject(failure);
      onGone();
    };
    this.#child.on('error', end);
    this.#child.on('exit', end);
    this.#ready.promise.catch(() => {});
    const late = setTimeout(() => this.kill('it did not start in time'), limits.startMs);
    void this.#ready.promise.then(
      () => clearTimeout(late),
      () => clearTimeout(late),
    );
  }

  get gone(): boolean {
    return this.#gone;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws Problem `frame_invalid`, `engine_failed`, `scoring_unavailable` */
  async evaluate({ plan, mode, payload, keys }: Evaluation): Promise<Evaluated> {
    await this.#ready.promise;
    const answer = Promise.withResolvers<Extract<ChildMessage, { t: 'evaluated' | 'refused' }>>();
    this.#answer = answer;
    const unwatch = this.#watch();
    try {
      if (keys !== null && keys.session !== this.#session) {
        this.#send({ t: 'keys', session: keys.session, wire: keys.wire, steps: keys.steps });
        this.#session = keys.session;
      }
      this.#send({ t: 'evaluate', plan, mode, payload, session: keys?.session ?? null });
      const message = await answer.promise;
      if (message.t === 'refused')
        throw new Problem('frame_invalid', { message: `The frame is refused: ${message.reason}.` });
      return { payload: message.payload, cpuMicros: message.cpuMicros };
    } finally {
      unwatch();
      this.#answer = null;
    }
  }

  /** Ends it without further ado: nothing in it can be lost. */
  kill(why: string): void {
    this.#why = why;
    this.#child.kill('SIGKILL');
  }

  #send(message: ParentMessage): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #receive(value: unknown): void {
    const message = readChildMessage(value);
    if (message === null) this.kill('it said something outside the protocol');
    else if (message.t === 'ready') this.#ready.resolve();
    else if (message.t === 'unsupported') {
      this.#ready.reject(new Problem('scoring_unavailable', {}, message.reason));
      this.kill('SEAL does not load here');
    } else if (this.#answer === null) this.kill('it answered what nobody asked');
    else this.#answer.resolve(message);
  }

  /** Kills it when it takes too long or too much memory; on systems without /proc the time alone is watched. */
  #watch(): () => void {
    const late = setTimeout(() => this.kill('it took too long'), this.#limits.evaluateMs);
    const memory = setInterval(() => void this.#weigh(), WATCH_MS);
    return () => {
      clearTimeout(late);
      clearInterval(memory);
    };
  }

  async #weigh(): Promise<void> {
    try {
      const [, resident = '0'] = (await readFile(`/proc/${this.#child.pid}/statm`, 'utf8')).split(' ');
      if (Number(resident) * PAGE_BYTES > this.#limits.memoryBytes) this.kill('it took too much memory');
    } catch {
      // Gone, or a system without /proc.
    }
  }
}
