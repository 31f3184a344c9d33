import { totalmem } from 'node:os';
import { SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Config } from '#config/schema.ts';
import { type GpuWatch, watchGpus } from '#engine/gpu.system.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import type { Room } from '#models/memory-plan.ts';
import type { DesiredStore } from '#models/model-state.ts';
import { Residency } from '#models/residency.service.ts';
import { Tenancy, type TenancyEvent } from '#models/tenancy.service.ts';
import type { Catalogue } from './gateway-engines.ts';

interface ModelDeps {
  readonly config: Config;
  readonly catalogue: Catalogue;
  readonly store: DesiredStore;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Models extends AsyncDisposable {
  readonly residency: Residency;
  readonly tenancy: Tenancy;
  readonly gpus: GpuWatch;
}

/** Requests that may wait for one model to come into memory. */
const MOST_WAITING = 256;
/** A request waits so long for idle models to go; then busy ones take no newcomers and end in turn. */
const PATIENCE_MS = 1000;
/** Who has just come stays so long: two models that fit once take turns and do not flap. */
const LEAST_STAY_MS = 5000;

/** Which models run, and what they may take of this machine. */
export async function openModels({ config, catalogue, store, recorder, clock, log }: ModelDeps): Promise<Models> {
  const { engines, estimate } = catalogue;
  const { engine: settings } = config;
  const gpus = await watchGpus();
  const hasGpu = gpus.gpus().length > 0;
  const onEvent = (event: TenancyEvent) => recordTenancy(recorder, log, event);
  let tenancy: Tenancy | undefined;
  const residency = new Residency({
    engines,
    store,
    recorder,
    log,
    house: (desiredOf) => {
      tenancy = new Tenancy({
        engines,
        desiredOf,
        estimate: async (id) => {
          const found = await estimate(id);
          if (found === null) return { ram: 0, vram: 0 };
          const { weights, context, compute, child } = found;
          const arithmetic = weights + context + compute;
          // Without a GPU everything is done here; with one, everything but the process itself is there.
          return hasGpu && catalogue.usesGpu(id)
            ? { ram: child + weights, vram: arithmetic }
            : { ram: child + arithmetic, vram: 0 };
        },
        measured: (_id, { memory, pid }) =>
          memory === null ? null : { ram: memory, vram: pid === null ? 0 : (gpus.usedBy(pid) ?? 0) },
        budget: budgetOf(config, gpus),
        rules: {
          idleUnloadMs: settings.idleUnloadSeconds * 1000,
          patienceMs: PATIENCE_MS,
          leastStayMs: LEAST_STAY_MS,
        },
        maxWaitMs: settings.loadWaitMs,
        maxWaiting: MOST_WAITING,
        drainMs: settings.drainSeconds * 1000,
        clock,
        log,
        onEvent,
      });
      return tenancy;
    },
  });
  if (tenancy === undefined) throw new Error('no house');
  return {
    residency,
    tenancy,
    gpus,
    async [Symbol.asyncDispose]() {
      gpus[Symbol.dispose]();
      await residency[Symbol.asyncDispose]();
    },
  };
}

function budgetOf({ engine }: Config, gpus: GpuWatch): Room {
  // Inside a container there is less than the machine has.
  const machine = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  const vram = gpus.gpus().reduce((sum, { totalBytes }) => sum + totalBytes, 0);
  return {
    ram: engine.ramBytes ?? Math.floor((machine * engine.ramPercent) / 100),
    vram: Math.floor((vram * engine.vramPercent) / 100),
  };
}

/** A model came or went, or could not: on the record as the gateway's own doing. */
function recordTenancy(recorder: Recorder, log: Log, { action, model, failure, facts }: TenancyEvent): Promise<void> {
  return recorder
    .record({
      kind: 'system',
      actor: SYSTEM,
      action,
      resource: `model:${model}`,
      outcome: failure === null ? 'completed' : 'failed',
      ...(failure === null ? {} : { outcome_code: failure.code }),
      request: null,
      facts,
    })
    .catch((error: unknown) => log.warn('not recorded', { model, error }));
}
