import type { ModelStatus } from '#engine/engine.ts';
import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { type AdminModel, AdminModelList, Model, ModelList, ModelPath } from './models.contract.ts';

export interface ModelsDeps {
  readonly list: () => readonly ModelStatus[];
  readonly mayUse: (principal: Principal, model: string) => boolean;
  readonly classificationOf: (model: string) => number;
  readonly instance: string;
  /** Seconds since the epoch: when this gateway started, which OpenAI's `created` needs. */
  readonly created: number;
}

export function modelRoutes({ list, mayUse, classificationOf, instance, created }: ModelsDeps): Route[] {
  const modelOf = ({ id, contextSize, state }: ModelStatus): Model => ({
    id,
    object: 'model',
    created,
    owned_by: 'strongroom',
    context_length: contextSize,
    state,
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
      handle: async ({ principal }) => {
        const data = list()
          .filter(({ id }) => mayUse(principal, id))
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
      summary: 'What runs on this replica',
      access: { action: 'models.inspect', resource: () => ({ type: 'catalogue', id: 'models' }), denial: 'forbidden' },
      credentials: 'session',
      stepUp: NO_STEP_UP,
      counts: 'none',
      records: 'denials',
      response: AdminModelList,
      handle: async () => {
        const answer: AdminModelList = {
          instance,
          data: list().map((status) => adminModelOf(status, classificationOf(status.id))),
        };
        return { kind: 'json', body: answer };
      },
    }),
  ];
}

const adminModelOf = (status: ModelStatus, classification: number): AdminModel => ({
  id: status.id,
  engine: status.engine,
  state: status.state,
  context_size: status.contextSize,
  max_output_tokens: status.maxOutputTokens,
  digest: status.digest,
  template_digest: status.templateDigest,
  classification,
  slots: status.slots,
  busy: status.busy,
  queued: status.queued,
  pid: status.pid,
  restarts: status.restarts,
});
