import type { ModelStatus } from '#engine/engine.ts';
import type { Gpu } from '#engine/gpu.ts';
import type { Room } from './memory-plan.ts';
import type { DesiredState } from './model-state.ts';

/** What this replica runs on. */
interface Machine {
  readonly sandbox: 'full' | 'uid' | 'process' | null;
  readonly budget: Room;
  readonly used: Room;
  readonly gpus: readonly Gpu[];
}

/** What a gateway knows of its models, for admins and for the other gateways. */
export interface ReportDeps {
  readonly list: () => readonly ModelStatus[];
  readonly machine: () => Machine;
  readonly memoryOf: (model: string) => { readonly estimated: Room | null; readonly measured: Room | null };
  /** Layers that the budget gives a GPU; null for a model that runs elsewhere. */
  readonly plannedLayersOf: (model: string) => number | null;
  readonly classificationOf: (model: string) => number;
  readonly desiredOf: (model: string) => DesiredState;
}

/** As `AdminReport` of the contract has it. */
export function reportOf(deps: ReportDeps) {
  const { sandbox, budget, used, gpus } = deps.machine();
  return {
    sandbox,
    memory: { budget: figuresOf(budget), used: figuresOf(used) },
    gpus: gpus.map(({ index, name, totalBytes, usedBytes }) => ({ index, name, total: totalBytes, used: usedBytes })),
    data: deps.list().map((status) => adminModelOf(status, deps)),
  };
}

/** As `AdminModel` of the contract has it. */
export const adminModelOf = (
  status: ModelStatus,
  { classificationOf, desiredOf, memoryOf, plannedLayersOf }: ReportDeps,
) => ({
  id: status.id,
  engine: status.engine,
  state: status.state,
  context_size: status.contextSize,
  max_output_tokens: status.maxOutputTokens,
  digest: status.digest,
  adapter: status.adapter,
  draft: status.draft,
  template_digest: status.templateDigest,
  classification: classificationOf(status.id),
  slots: status.slots,
  busy: status.busy,
  queued: status.queued,
  pid: status.pid,
  restarts: status.restarts,
  in_service: desiredOf(status.id).inService,
  pinned: desiredOf(status.id).pinned,
  progress: status.progress,
  quarantine: status.quarantine,
  replicas: status.upstream?.replicas.map(({ name, state, resting, busy }) => ({ name, state, resting, busy })) ?? null,
  backend: status.backend,
  gpu_layers: {
    planned: plannedLayersOf(status.id),
    loaded: status.layers?.onGpu ?? null,
    of: status.layers?.of ?? null,
  },
  memory: bothFigures(memoryOf(status.id)),
});

const figuresOf = ({ ram, vram }: Room) => ({ ram, vram });
const bothFigures = ({ estimated, measured }: ReturnType<ReportDeps['memoryOf']>) => ({
  estimated: estimated && figuresOf(estimated),
  measured: measured && figuresOf(measured),
});
