import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ApprovedFile, BATCHING, filesOf, type LlamaModelSpec } from '#engine/model-spec.ts';
import { Standstill } from '#engine/standstill.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import type { FileMemory } from './file-memory.ts';
import type { GenerationDeadlines } from './generation-table.ts';
import { visibleTo } from './gpu-files.ts';
import { OpenedFiles } from './opened-files.files.ts';
import { innermost } from './process-tree.system.ts';
import {
  type ChildMessage,
  type LoadFailure,
  type LoadMessage,
  type ParentMessage,
  readChildMessage,
} from './protocol.contract.ts';
import type { Sandbox } from './sandbox.system.ts';

/** How long the parts of a child's life may take, in milliseconds. Whoever exceeds one is killed. */
export interface LlamaLimits extends GenerationDeadlines {
  /** Reading the whole file for its digest. */
  readonly verifyMs: number;
  readonly loadMs: number;
  /** Loading a file for the first time, in a child that is then thrown away, and making one token. */
  readonly probeMs: number;
  /** More than these two where there are layers for a GPU: what it has to compile first, being newer than the engine. */
  readonly compileMs: number;
  /** Silence of the child, which says something every second. */
  readonly heartbeatMs: number;
  readonly maxQueue: number;
  /** How long a request waits for a place. */
  readonly maxQueueMs: number;
  /** How long a request waits for a model that is loading. */
  readonly maxLoadingWaitMs: number;
}

export const LLAMA_LIMITS: LlamaLimits = {
  verifyMs: 600_000,
  loadMs: 120_000,
  probeMs: 60_000,
  compileMs: 600_000,
  heartbeatMs: 30_000,
  firstTokenMs: 300_000,
  nextTokenMs: 60_000,
  cancelMs: 10_000,
  maxQueue: 64,
  maxQueueMs: 30_000,
  maxLoadingWaitMs: 10_000,
};

/** What an administrator is told when a load fails. */
export const LOAD_FAILURES: Readonly<Record<LoadFailure, string>> = {
  unreadable: 'its file can not be read',
  digest_mismatch: 'its file is not the approved one (SHA-256 differs)',
  malformed: 'its file is malformed',
  split: 'its file is one of several, which `llama-gguf-split --merge` makes one of',
  context_too_large: 'its context is larger than it was trained for',
  no_backend: 'this machine has no engine for the configured gpu; `strongroom doctor` says what is missing',
  template: 'its own chat template is not the approved one',
  draft: 'its draft model does not go with it',
  out_of_memory: 'its weights or its context do not fit into the memory that it may take',
  failed: 'the engine refused it',
};

export interface ProcessOptions {
  readonly spec: LlamaModelSpec;
  readonly limits: LlamaLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly sandbox: Sandbox;
  readonly files: FileMemory;
  /** So many layers go to a GPU; null: as the engine thinks best. */
  readonly gpuLayers: number | null;
  /** Only to find out whether the file is safe to load: one token, then `probed`. */
  readonly probe: boolean;
  readonly onMessage: (message: ChildMessage) => void;
  /** Called once, when the process is gone for whatever reason. */
  readonly onExit: (how: string) => void;
}

const CHILD = fileURLToPath(import.meta.resolve('#engine/child/child.llama.ts'));
const STDERR_KEPT = 4000;
const WATCH_MS = 250;
const PROBE_CONTEXT = 1024;

/** One life of the child: from its start to its end, with the deadlines in between. */
export class EngineProcess {
  readonly #options: ProcessOptions;
  readonly #child: ChildProcess;
  readonly #opened: OpenedFiles;
  readonly #watch: NodeJS.Timeout;
  readonly #ended = Promise.withResolvers<void>();
  #phase: 'verifying' | 'loading' | 'ready' | 'gone' = 'verifying';
  #phaseSince: number;
  #heard: number;
  readonly #standstill = new Standstill();
  #readyAt: number | null = null;
  #timedOut = false;
  #innerPid: number | undefined;
  #stderr = '';

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.#phaseSince = this.#heard = options.clock.monotonic();
    const { spec, sandbox } = options;
    const [file = process.execPath, ...args] = sandbox.command(CHILD, spec.id, spec.memoryLimit);
    // Opened by us and handed over: the child sees no other file, and what it verifies is what it parses.
    this.#opened = new OpenedFiles(filesOf(spec));
    try {
      this.#child = spawn(file, args, {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc', ...this.#opened.descriptors],
        serialization: 'json',
        env: {
          ...sandbox.environment(spec.id),
          // Each decode and each sample is a job of libuv's pool.
          UV_THREADPOOL_SIZE: String(spec.parallel + 4),
          ...visibleTo(spec),
        },
      });
    } catch (error) {
      this.#opened.close();
      throw error;
    }
    this.#child.stderr?.setEncoding('utf8');
    this.#child.stderr?.on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    this.#child.on('message', (value) => this.#receive(value));
    this.#child.on('error', (error) => this.#gone(error.message));
    // `close`, not `exit`: by then everything that the child said before its death has arrived.
    this.#child.on('close', (code, signal) => this.#gone(signal ?? `exit code ${code}`));
    this.#watch = setInterval(() => this.#checkDeadlines(), WATCH_MS);
    this.#watch.unref();
    const verified = this.#opened.stamps.map(([sha256, stamp]) => options.files.isVerified(sha256, stamp));
    this.send(loadMessage(options, verified));
  }

  get pid(): number | null {
    if (this.#phase === 'gone' || this.#child.pid === undefined) return null;
    // A sandbox may stand around it: what uses memory and takes signals is the process inside.
    if (this.#phase === 'verifying') return this.#child.pid;
    this.#innerPid ??= innermost(this.#child.pid);
    return this.#innerPid;
  }

  /** How long it has been ready, in milliseconds; null if it never was. */
  readyFor(): number | null {
    return this.#readyAt === null ? null : this.#options.clock.monotonic() - this.#readyAt;
  }

  /** It was ended because reading or loading the file took too long: trying again would take as long. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  send(message: ParentMessage): void {
    // A child that is dying is noticed by its end, not by the failure to write to it.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** Ends the process without further ado; there is nothing in it that could be lost. */
  kill(why: string): Promise<void> {
    if (this.#phase !== 'gone') {
      this.#options.log.info('engine process is ended', { model: this.#options.spec.id, state: why });
      this.#child.kill('SIGKILL');
    }
    return this.#ended.promise;
  }

  #receive(value: unknown): void {
    if (this.#phase === 'gone') return;
    const message = readChildMessage(value);
    if (message === null) {
      void this.kill('message outside the protocol');
      return;
    }
    this.#heard = this.#options.clock.monotonic();
    if (message.t === 'verified') {
      this.#enter('loading');
      for (const [sha256, stamp] of this.#opened.stamps) this.#options.files.verified(sha256, stamp);
    }
    if (message.t === 'ready') {
      this.#enter('ready');
      this.#readyAt = this.#phaseSince;
    }
    // From its load on, once a second.
    if (message.t === 'ready' || message.t === 'beat')
      this.#opened.look(() => void this.kill('its file was written to'));
    this.#options.onMessage(message);
  }

  #enter(phase: 'loading' | 'ready'): void {
    this.#phase = phase;
    this.#phaseSince = this.#options.clock.monotonic();
  }

  #checkDeadlines(): void {
    const now = this.#options.clock.monotonic();
    const { limits } = this.#options;
    const lost = this.#standstill.look(now);
    if (lost > 0) this.#heard = now;
    this.#phaseSince = Math.min(now, this.#phaseSince + lost);
    const inPhase = now - this.#phaseSince;
    const loading = loadingMs(this.#options);
    const allowed = { verifying: limits.verifyMs, loading, ready: Number.POSITIVE_INFINITY, gone: 0 };
    if (inPhase > allowed[this.#phase]) {
      this.#timedOut = true;
      void this.kill(`too long in phase ${this.#phase}`);
    }
    if (this.#phase === 'ready' && now - this.#heard > limits.heartbeatMs) void this.kill('silent for too long');
  }

  #gone(how: string): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    clearInterval(this.#watch);
    this.#opened.close();
    this.#options.log.warn('engine process ended', {
      model: this.#options.spec.id,
      signal: how,
      ...(this.#child.pid === undefined ? {} : { pid: this.#child.pid }),
      ...(this.#stderr === '' ? {} : { error: this.#stderr }),
    });
    this.#ended.resolve();
    this.#options.onExit(how);
  }
}

/** How long a load may take. The library itself may find a GPU where nobody has counted one. */
export function loadingMs({
  limits,
  probe,
  spec,
  gpuLayers,
}: Pick<ProcessOptions, 'probe' | 'gpuLayers'> & {
  readonly limits: Pick<LlamaLimits, 'loadMs' | 'probeMs' | 'compileMs'>;
  readonly spec: Pick<LlamaModelSpec, 'gpu'>;
}): number {
  const compiles = spec.gpu !== 'cpu' && gpuLayers !== 0;
  return (probe ? limits.probeMs : limits.loadMs) + (compiles ? limits.compileMs : 0);
}

/** A probe takes the smallest context there is: what it looks for is in the file. */
function loadMessage({ spec, probe, sandbox, gpuLayers }: ProcessOptions, verified: readonly boolean[]): LoadMessage {
  const { adapter, draft, chatTemplate, contextSize, parallel, threads, gpu } = spec;
  const handedOver = (at: number, { sha256 }: ApprovedFile) => ({
    file: sandbox.files[at] ?? '',
    sha256,
    verified: verified[at] ?? false,
  });
  return {
    t: 'load',
    model: handedOver(0, spec),
    adapter: adapter === undefined ? null : { ...handedOver(1, adapter), scale: adapter.scale },
    draft: draft === undefined ? null : { ...handedOver(adapter === undefined ? 1 : 2, draft), tokens: draft.tokens },
    probe,
    embedding: spec.embedding ?? false,
    chatTemplate,
    approvedTemplateSha256: spec.approvedTemplateSha256 ?? null,
    contextSize: probe ? Math.min(contextSize, PROBE_CONTEXT) : contextSize,
    parallel: probe ? 1 : parallel,
    threads,
    // Without a layer there the driver would take memory of the GPU for nothing, and nobody has counted that.
    gpu: gpu === 'auto' && gpuLayers === 0 ? 'cpu' : gpu,
    gpuLayers,
    prefillChunk: spec.prefillChunk ?? BATCHING.prefillChunk,
    maxBatchSize: spec.maxBatchSize ?? BATCHING.maxBatchSize,
    maxWaitMs: spec.maxWaitMs ?? BATCHING.maxWaitMs,
    systemPrompts: probe ? [] : [...(spec.systemPrompts ?? [])],
    kvType: spec.kvType ?? 'f16',
    flashAttention: spec.flashAttention ?? 'auto',
  };
}
