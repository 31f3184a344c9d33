import type { DraftCosts } from '#engine/draft-use.ts';
import type { Engine } from '#engine/engine.ts';
import type { EngineEvent } from '#engine/engine-event.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import type { FileMemory } from './file-memory.ts';
import type { LlamaLimits } from './process.llama.ts';
import type { Sandbox } from './sandbox.system.ts';

export interface LlamaDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly sandbox: Sandbox;
  readonly files: FileMemory;
  /** So many layers go to a GPU, by its budget; null, or absent: as the engine thinks best. */
  readonly gpuLayers?: () => number | null;
  /** What nobody asked for and somebody must know of. */
  readonly onEvent?: (event: EngineEvent) => void;
  readonly limits?: Partial<LlamaLimits>;
}

/** What the engine did since its child started; for metrics. */
export interface LlamaMeasurements {
  /** Rounds of the lock-step driver. */
  readonly steps: number;
  readonly batches: number;
  /** Sum over all batches of the sequences in them. */
  readonly sequences: number;
  readonly largestBatch: number;
  /** Tokens that the draft model foresaw, and those of them that the model then chose. */
  readonly foreseen: number;
  readonly right: number;
  /** What a token takes with the draft model and without. */
  readonly costs: DraftCosts;
}

export interface LlamaEngine extends Engine {
  /** At most a second old. */
  measurements(): LlamaMeasurements;
}

export const NOTHING_MEASURED: LlamaMeasurements = {
  steps: 0,
  batches: 0,
  sequences: 0,
  largestBatch: 0,
  foreseen: 0,
  right: 0,
  costs: { drafted: null, plain: null },
};

/** Without whatever else stands beside them. */
export const pickMeasurements = (beat: LlamaMeasurements): LlamaMeasurements => {
  const { steps, batches, sequences, largestBatch, foreseen, right, costs } = beat;
  return { steps, batches, sequences, largestBatch, foreseen, right, costs };
};
