import { totalmem } from 'node:os';
import type { Config } from '#config/schema.ts';
import type { ModelStatus } from '#engine/engine.ts';
import { estimateFile } from '#engine/gguf-file.files.ts';
import type { GpuWatch } from '#engine/gpu.system.ts';
import type { Gpu } from '#engine/gpu.ts';
import type { FileMemory } from '#engine/llama/file-memory.ts';
import { type LlamaModelSpec, sequencesOf } from '#engine/model-spec.ts';
import { GPU_PROCESS_BYTES, type MemoryFigures, type Placement, place } from '#engine/placement.ts';
import type { Room } from '#models/memory-plan.ts';

const MEBIBYTE = 1024 * 1024;
/** A child reserves so much and does not use it: heaps that may grow, and a stack for each thread. */
const RESERVED = { child: 1024 * MEBIBYTE, thread: 8 * MEBIBYTE } as const;

/** What models may take of this machine and of its GPUs, of each of them where there are several. */
export function machineBudget({ engine }: Config, gpus: GpuWatch): Room {
  // Inside a container there is less than the machine has.
  const machine = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return {
    ram: engine.ramBytes ?? Math.floor((machine * engine.ramPercent) / 100),
    vram: share(withOwnMemory(gpus), engine.vramPercent),
    ...perGpu(withOwnMemory(gpus), (gpu) => share([gpu], engine.vramPercent)),
  };
}

/** What lies on the others is memory of the machine, or counted on their slices. */
const withOwnMemory = (gpus: GpuWatch): Gpu[] => gpus.gpus().filter(({ kind }) => kind === undefined);

const share = (gpus: readonly Gpu[], percent: number): number =>
  Math.floor((gpus.reduce((sum, { totalBytes }) => sum + totalBytes, 0) * percent) / 100);

/** By number, of a machine with several. */
function perGpu(gpus: readonly Gpu[], bytesOn: (gpu: Gpu) => number): Pick<Room, 'perGpu'> {
  if (gpus.length < 2) return {};
  const bytes = new Array<number>(Math.max(...gpus.map(({ index }) => index)) + 1).fill(0);
  for (const gpu of gpus) bytes[gpu.index] = bytesOn(gpu);
  return { perGpu: bytes };
}

/** What one child may take for itself: no more than all models together, whatever its header made us think. */
export const childLimit = ({ ram }: MemoryFigures, { threads, parallel }: LlamaModelSpec): number =>
  ram + RESERVED.child + RESERVED.thread * (threads + parallel);

/** Where the models of this machine lie: thought from their headers, corrected by what was measured. */
export class Placements {
  readonly #config: Config;
  readonly #gpus: GpuWatch;
  readonly #files: FileMemory | null;
  readonly #specs = new Map<string, LlamaModelSpec>();
  readonly #placed = new Map<string, Placement>();

  constructor(config: Config, gpus: GpuWatch, files: FileMemory | null) {
    this.#config = config;
    this.#gpus = gpus;
    this.#files = files;
  }

  add(spec: LlamaModelSpec): void {
    this.#specs.set(spec.id, spec);
  }

  /** As it was thought out last; null for a model that runs elsewhere, or whose file could not be read. */
  of(id: string): Placement | null {
    return this.#placed.get(id) ?? null;
  }

  /** Reads the header and thinks. Never rejects. */
  async find(id: string): Promise<Placement | null> {
    const spec = this.#specs.get(id);
    const estimate = spec === undefined ? null : await estimateFile(spec);
    if (spec === undefined || estimate === null) return null;
    const placement = place(estimate, this.vramFor(spec), spec.gpuLayers ?? 'auto');
    this.#placed.set(id, placement);
    return placement;
  }

  /** The most it was measured to take in this shape, in this life of the gateway or another; null: it never ran. */
  measured(id: string): MemoryFigures | null {
    const spec = this.#specs.get(id);
    return spec === undefined ? null : (this.#files?.measuredOf(spec.sha256, this.#shapeOf(spec)) ?? null);
  }

  /**
   * The same, told apart by GPU where there are several: llama.cpp spreads layers over those that a model may use, to each
   * by its size. In whole MiB, as the driver counts; a model that fits on all of them together fits on each.
   */
  spread(id: string, figures: MemoryFigures): Room {
    const spec = this.#specs.get(id);
    if (spec === undefined || figures.vram === 0) return figures;
    const visible = this.#gpus.seenBy(spec);
    const total = visible.reduce((sum, { totalBytes }) => sum + totalBytes, 0);
    const part = ({ totalBytes }: Gpu) => Math.floor(((totalBytes / total) * figures.vram) / MEBIBYTE) * MEBIBYTE;
    return { ...figures, ...perGpu(withOwnMemory(this.#gpus), (gpu) => (visible.includes(gpu) ? part(gpu) : 0)) };
  }

  /** What models may take of the GPUs that this one may use, `shared` where that is the machine's; null where it uses none. */
  vramFor(spec: LlamaModelSpec): number | 'shared' | null {
    const gpus = this.#gpus.seenBy(spec);
    if (gpus.length === 0) return null;
    if (gpus.every(({ kind }) => kind === 'shared')) return 'shared';
    return share(gpus, this.#config.engine.vramPercent);
  }

  /** Looks at a model that runs. */
  observe(id: string, { memory, pid, state, backend, gpuMemory = null }: ModelStatus): void {
    const spec = this.#specs.get(id);
    if (spec === undefined || memory === null || pid === null || state !== 'ready') return;
    const isElsewhere = backend === null || backend === 'cpu' || this.vramFor(spec) === 'shared';
    const vram = isElsewhere ? 0 : (this.#gpus.usedBy(pid) ?? foundByEngine(gpuMemory) ?? this.of(id)?.needs.vram ?? 0);
    this.#files?.measured(spec.sha256, this.#shapeOf(spec), { ram: memory, vram });
  }

  /** What it takes hangs on this beside the file. */
  #shapeOf(spec: LlamaModelSpec): string {
    const { id, gpu, contextSize, kvType, flashAttention, adapter, draft } = spec;
    const beside = [adapter, draft].map((one) => one?.sha256 ?? '');
    const layers = this.of(id)?.onGpu ?? 0;
    return [contextSize, sequencesOf(spec), kvType, flashAttention, gpu, layers, ...beside].join(' ');
  }
}

/** What the driver has for a process the engine does not know. */
const foundByEngine = (bytes: number | null): number | null =>
  bytes === null || bytes === 0 ? bytes : bytes + GPU_PROCESS_BYTES;
