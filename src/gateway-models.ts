import { type AuditEvent, SYSTEM } from '#audit/event.ts';
import type { Recorder } from '#audit/recorder.ts';
import type { Config } from '#config/schema.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Log } from '#kernel/log.ts';
import { postgresDesiredStates } from '#models/model-state.postgres.ts';
import type { AdminReport } from '#models/models.contract.ts';
import { postgresReplicas } from '#models/replica.postgres.ts';
import { Replicas } from '#models/replicas.service.ts';
import { type ReportDeps, reportOf } from '#models/report.ts';
import { Residency } from '#models/residency.service.ts';
import { Tenancy, type TenancyEvent } from '#models/tenancy.service.ts';
import type { Queryable } from '#postgres/pool.ts';
import type { Catalogue } from './gateway-engines.ts';

interface ModelDeps {
  readonly config: Config;
  readonly catalogue: Catalogue;
  readonly pool: Queryable;
  readonly instance: string;
  readonly recorder: Recorder;
  /** Records what happens by itself, when the log can't be written at that moment too. */
  readonly tell: (event: AuditEvent) => void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Models extends AsyncDisposable {
  readonly residency: Residency;
  /** What this gateway tells of its models, and what the others do. */
  readonly report: ReportDeps;
  readonly replicas: Replicas<AdminReport>;
}

/** Requests that may wait for one model to come into memory. */
const MOST_WAITING = 256;
/** A request waits so long for idle models to go; then busy ones take no newcomers and end in turn. */
const PATIENCE_MS = 1000;
/** Who has just come stays so long: two models that fit once take turns and do not flap. */
const LEAST_STAY_MS = 5000;

/** Which models run, and what they may take of this machine. */
export async function openModels(deps: ModelDeps): Promise<Models> {
  const { config, catalogue, pool, instance, recorder, tell, clock, log } = deps;
  const { engines, placements, budget, attributesOf, sandbox, gpus } = catalogue;
  await using stack = new AsyncDisposableStack();
  const { engine: settings } = config;
  let tenancy: Tenancy | undefined;
  const residency = new Residency({
    engines,
    store: postgresDesiredStates(pool),
    isPinned: catalogue.isPinned,
    recorder,
    tell,
    log,
    house: (desiredOf) => {
      tenancy = new Tenancy({
        engines,
        desiredOf,
        estimate: async (id) => placements.spread(id, (await placements.find(id))?.needs ?? { ram: 0, vram: 0 }),
        measured: (id, status) => {
          placements.observe(id, status);
          const measured = placements.measured(id);
          return measured && placements.spread(id, measured);
        },
        budget,
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
        onEvent: (event) => tell(recordOf(event, catalogue)),
      });
      return tenancy;
    },
  });
  const house = tenancy;
  if (house === undefined) throw new Error('no house');
  stack.use(residency);
  // Before anybody asks: a model that an admin took out of service is not brought in meanwhile.
  await residency.read();
  const report: ReportDeps = {
    list: () => engines.list(),
    machine: () => ({ ...house.usage(), sandbox: sandbox?.level ?? null, gpus: gpus.gpus() }),
    memoryOf: house.memoryOf.bind(house),
    plannedLayersOf: (id) => placements.of(id)?.onGpu ?? null,
    classificationOf: (id) => attributesOf(id)?.classification ?? 0,
    desiredOf: residency.desiredOf.bind(residency),
  };
  const store = postgresReplicas(pool, instance, catalogue.fingerprint);
  const replicas = stack.use(new Replicas({ store, report: () => reportOf(report), log }));
  const opened = stack.move();
  return { residency, report, replicas, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** A model came or went, or could not: on the record as the gateway's own doing. */
function recordOf({ action, model, failure, facts }: TenancyEvent, { engines }: Catalogue): AuditEvent {
  const { backend = null, layers = null } = engines.get(model)?.status() ?? {};
  const comes = failure === null && (action === 'model.loaded' || action === 'model.woken');
  const where = comes && layers !== null ? { backend: backend ?? '', gpu_layers: layers.onGpu, layers: layers.of } : {};
  return {
    kind: 'system',
    actor: SYSTEM,
    action,
    resource: `model:${model}`,
    outcome: failure === null ? 'completed' : 'failed',
    ...(failure === null ? {} : { outcome_code: failure.code }),
    request: null,
    facts: { ...facts, ...where },
  };
}
