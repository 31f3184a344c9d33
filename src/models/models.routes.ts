import type { ModelStatus } from '#engine/engine.ts';
import { eventFrame } from '#http/reply.ts';
import { NO_STEP_UP, type Route, route, type Write } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { MODEL_VERBS, type ModelVerb } from './model-state.ts';
import { AdminModel, AdminModelList, type AdminReport, Model, ModelList, ModelPath } from './models.contract.ts';
import type { OtherReplica } from './replica.ts';
import { adminModelOf, type ReportDeps, reportOf } from './report.ts';

export interface ModelsDeps extends ReportDeps {
  readonly others: () => readonly OtherReplica<AdminReport>[];
  readonly mayUse: (principal: Principal, model: string, address: string) => boolean;
  readonly set: (model: string, verb: ModelVerb, admin: Principal, requestId: string) => Promise<ModelStatus>;
  readonly instance: string;
  /** Seconds since the epoch: when this gateway started, which OpenAI's `created` needs. */
  readonly created: number;
}

export function modelRoutes(deps: ModelsDeps): Route[] {
  const { list, mayUse, created } = deps;
  const modelOf = ({ id, contextSize, state, makes }: ModelStatus): Model => ({
    id,
    object: 'model',
    created,
    owned_by: 'strongroom',
    context_length: contextSize,
    state,
    capabilities: makes === 'vectors' ? ['embeddings'] : ['chat', 'completions'],
  });
  return [
    route({
      id: 'models.list',
      method: 'GET',
      path: '/v1/models',
      summary: 'The models that the caller may use',
      access: { action: 'models.list', resource: () => ({ type: 'catalogue', id: 'models' }), denial: 'forbidden' },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'none',
      response: ModelList,
      handle: async ({ principal, address }) => {
        const data = list()
          .filter(({ id }) => mayUse(principal, id, address))
          .map(modelOf);
        const answer: ModelList = { object: 'list', data };
        return { kind: 'json', body: answer };
      },
    }),
    route<{ id: string }>({
      id: 'models.get',
      method: 'GET',
      path: '/v1/models/:id',
      summary: 'One model that the caller may use',
      access: {
        action: 'infer',
        resource: ({ params }) => ({ type: 'model', id: params.id }),
        denial: 'model_not_found',
      },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'none',
      params: ModelPath,
      response: Model,
      handle: async ({ params }) => {
        const status = list().find(({ id }) => id === params.id);
        if (status === undefined) throw new Problem('model_not_found');
        return { kind: 'json', body: modelOf(status) };
      },
    }),
    route({
      id: 'admin.models',
      method: 'GET',
      path: '/admin/models',
      summary: 'What runs on this gateway, and on all others',
      access: { action: 'models.inspect', resource: () => ({ type: 'catalogue', id: 'models' }), denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      response: AdminModelList,
      handle: async () => {
        return { kind: 'json', body: adminListOf(deps) };
      },
    }),
    route({
      id: 'admin.models.events',
      method: 'GET',
      path: '/admin/models/events',
      summary: 'The same whenever it changes, as server-sent events',
      access: { action: 'models.inspect', resource: () => ({ type: 'catalogue', id: 'models' }), denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      handle: async ({ signal }) => ({
        kind: 'stream',
        tell: (write) => tellChanges(() => adminListOf(deps), write, signal),
      }),
    }),
    ...MODEL_VERBS.map((verb) => verbRoute(verb, deps)),
  ];
}

/** Load, unload, pin, unpin: each needs a fresh second factor, sets what is wanted and answers at once (202). */
function verbRoute(verb: ModelVerb, deps: ModelsDeps): Route {
  return route<{ id: string }>({
    id: `admin.models.${verb}`,
    method: 'POST',
    path: `/admin/models/:id/${verb}`,
    summary: SUMMARIES[verb],
    access: {
      action: `model.${verb}`,
      resource: ({ params }) => ({ type: 'service', id: params.id }),
      denial: 'forbidden',
    },
    credentials: 'session',
    stepUp: (_admin, { params }) => `${WORDS[verb]} the model ${params.id}`,
    counts: 'none',
    records: 'full',
    params: ModelPath,
    response: AdminModel,
    handle: async ({ params, principal, requestId }) => {
      const status = await deps.set(params.id, verb, principal, requestId);
      return { kind: 'json', status: 202, body: adminModelOf(status, deps) };
    },
  });
}

const WORDS = { load: 'Load', unload: 'Unload', pin: 'Pin', unpin: 'Unpin' } as const;
const SUMMARIES: Readonly<Record<ModelVerb, string>> = {
  load: 'Put a model in service on every replica',
  unload: 'Take a model out of service; running answers end',
  pin: 'Never evict a model while it is in service',
  unpin: 'Let a model be evicted when room is needed',
};

function adminListOf(deps: ModelsDeps): AdminModelList {
  const replicas = deps.others().map(({ instance, reportedAt, isSameCatalogue, report }) => ({
    instance,
    reported_at: reportedAt.toISOString(),
    catalogue: isSameCatalogue ? ('same' as const) : ('differs' as const),
    report,
  }));
  return { instance: deps.instance, ...reportOf(deps), replicas };
}

/** Fast enough for a bar that moves, slow enough to cost nothing. */
const CHANGE_MS = 250;

/** Everything at first, and again whenever something of it is different. Ends when its reader goes. */
async function tellChanges(look: () => AdminModelList, write: Write, signal: AbortSignal): Promise<void> {
  let told = '';
  while (!signal.aborted) {
    const frame = eventFrame(look());
    if (frame !== told) await write(frame);
    told = frame;
    await pause(CHANGE_MS, signal);
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const end = () => resolve();
  signal.addEventListener('abort', end, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  });
}
