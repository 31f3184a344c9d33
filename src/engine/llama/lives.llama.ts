import type { LoadProgress, ModelState, ModelStatus } from '#engine/engine.ts';
import { type LlamaModelSpec, quarantineOf, trialDigest } from '#engine/model-spec.ts';
import { engineFailed } from '#engine/refusal.ts';
import type { Problem } from '#kernel/problem.ts';
import { MemoryWatch } from './memory-watch.ts';
import type { LlamaDeps } from './port.llama.ts';
import { EngineProcess, type LlamaLimits, LOAD_FAILURES } from './process.llama.ts';
import { memoryNow, memoryOf } from './process-tree.system.ts';
import type { ChildMessage, ParentMessage } from './protocol.contract.ts';
import { RestartPolicy } from './restart-policy.ts';

export interface LivesOptions {
  readonly spec: LlamaModelSpec;
  readonly limits: LlamaLimits;
  readonly deps: LlamaDeps;
  /** `build`: engine and release, for the record; null where the child does not say. */
  readonly onReady: (build: string | null) => void;
  readonly onMessage: (message: ChildMessage) => void;
  /** The child is gone and another one follows. */
  readonly onLost: () => void;
  /** There will be no child until somebody asks for one again. */
  readonly onFailed: (failure: Problem) => void;
}

type RunsOn = Pick<ModelStatus, 'backend' | 'layers' | 'gpuMemory'>;

/** The children of one model, one after another: probe, load, restart with back-off, quarantine. */
export class ChildLives {
  readonly #options: LivesOptions;
  readonly #restarts = new RestartPolicy();
  #state: ModelState = 'unloaded';
  #process: EngineProcess | null = null;
  /** Until the one that was stopped is gone, and what it took with it. */
  #ending: Promise<void> = Promise.resolve();
  #probing = false;
  #progress: LoadProgress | null = null;
  #restart: NodeJS.Timeout | undefined;
  readonly #memory = new MemoryWatch(memoryNow);
  #runsOn: RunsOn = { backend: null, layers: null, gpuMemory: null };

  constructor(options: LivesOptions) {
    this.#options = options;
  }

  get state(): ModelState {
    return this.#state;
  }
  get pid(): number | null {
    return this.#process?.pid ?? null;
  }
  get deaths(): number {
    return this.#restarts.deaths;
  }
  get progress(): LoadProgress | null {
    return this.#state === 'loading' ? this.#progress : null;
  }
  /** Bytes that the child took when it was ready, the most seen since; null before. */
  get memory(): number | null {
    return this.#memory.most;
  }

  /** Where it runs, or ran the last time. */
  get runsOn(): RunsOn {
    return this.#runsOn;
  }

  /** Begins a first life. */
  start(): void {
    this.#state = 'loading';
    this.#restarts.forgive();
    this.#next();
  }

  send(message: ParentMessage): void {
    this.#process?.send(message);
  }

  /** Ends the child for a deadline that it missed; another one follows. */
  kill(why: string): void {
    void this.#process?.kill(why);
  }

  /** Ends the child for good; resolves when it is gone, whoever asked first. */
  async stop(): Promise<void> {
    clearTimeout(this.#restart);
    const process = this.#process;
    this.#process = null;
    this.#state = 'unloaded';
    if (process !== null) this.#ending = process.kill('closed');
    await this.#ending;
  }

  #next(): void {
    const { spec, deps } = this.#options;
    const quarantine = quarantineOf(spec, deps.files);
    if (quarantine !== null) {
      this.#giveUp(`Model '${spec.id}' is in quarantine: ${quarantine.reason}`, undefined);
      return;
    }
    this.#progress = null;
    this.#probing = !deps.files.isProbed(trialDigest(spec));
    try {
      this.#process = this.#open(this.#probing);
    } catch (error) {
      this.#giveUp(`Model '${spec.id}' can not be loaded: ${LOAD_FAILURES.unreadable}.`, error);
    }
  }

  #open(probe: boolean): EngineProcess {
    const { spec, limits, deps } = this.#options;
    const process: EngineProcess = new EngineProcess({
      spec,
      limits,
      clock: deps.clock,
      log: deps.log,
      sandbox: deps.sandbox,
      files: deps.files,
      gpuLayers: deps.gpuLayers?.() ?? null,
      probe,
      onMessage: (message) => {
        if (this.#process === process) this.#receive(message);
      },
      onExit: (how) => {
        if (this.#process === process) this.#died(process, how);
      },
    });
    return process;
  }

  #receive(message: ChildMessage): void {
    const { spec, deps, onReady, onMessage } = this.#options;
    switch (message.t) {
      case 'progress':
        this.#progress = {
          phase: this.#probing && message.phase === 'load' ? 'probe' : message.phase,
          done: message.done,
        };
        return;
      case 'probed': {
        deps.files.probed(trialDigest(spec));
        const process = this.#process;
        this.#process = null;
        // Whatever state the file left it in ends with it.
        void process?.kill('probe is over').then(() => {
          if (this.#state === 'loading' && this.#process === null) this.#next();
        });
        return;
      }
      case 'ready':
        deps.log.info('model is ready', { model: spec.id, state: message.backend });
        this.#runsOn = {
          backend: message.backend,
          layers: message.layers ?? null,
          gpuMemory: message.gpuMemory ?? null,
        };
        this.#state = 'ready';
        this.#memory.begin(this.pid === null ? null : memoryOf(this.pid));
        onReady(message.build === undefined ? null : `llama.cpp ${message.build} ${message.backend}`);
        return;
      case 'load_failed':
        this.#giveUp(`Model '${spec.id}' can not be loaded: ${LOAD_FAILURES[message.reason]}.`, message.detail);
        return;
      case 'beat':
        void this.#memory.beat(this.pid);
        onMessage(message);
        return;
      default:
        onMessage(message);
    }
  }

  #died(process: EngineProcess, how: string): void {
    const { spec, deps, onLost } = this.#options;
    this.#process = null;
    const delay = this.#restarts.died(process.readyFor());
    deps.onEvent?.({ type: 'crashed', model: spec.id, how, deaths: this.#restarts.deaths });
    if (process.timedOut) {
      onLost();
      this.#giveUp(`Model '${spec.id}' can not be loaded in time.`, undefined);
      return;
    }
    if (delay === null) {
      const reason = `its engine died again and again (last: ${how})`;
      deps.files.quarantine(trialDigest(spec), reason);
      deps.onEvent?.({ type: 'quarantined', model: spec.id, digest: spec.adapter?.sha256 ?? spec.sha256, how });
      onLost();
      this.#giveUp(`Model '${spec.id}' is in quarantine: ${reason}.`, undefined);
      return;
    }
    this.#state = 'loading';
    onLost();
    this.#restart = setTimeout(() => this.#next(), delay);
  }

  /** Stays as it is until somebody asks for it again. */
  #giveUp(message: string, cause: unknown): void {
    const { spec, deps, onFailed } = this.#options;
    deps.log.error(message, { model: spec.id, ...(cause === undefined ? {} : { error: cause }) });
    const process = this.#process;
    this.#process = null;
    this.#state = 'failed';
    void process?.kill('load failed');
    onFailed(engineFailed(message, cause));
  }
}
