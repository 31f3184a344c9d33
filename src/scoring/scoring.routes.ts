import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Principal } from '#kernel/principal.ts';
import { chargeFor, reserveFor } from './charge.ts';
import { batchSize, requestBytes, sessionBytes } from './descriptor.shared.ts';
import { FRAME_TYPE } from './frame.shared.ts';
import {
  DescriptorAnswer,
  DescriptorList,
  KeyPath,
  KeysAnswer,
  ModelPath,
  ModelQuery,
  ModeQuery,
} from './scoring.contract.ts';
import type { EvaluationFacts, ScoringDesk, ServedModel } from './scoring.ts';

export interface ScoringRoutesDeps {
  readonly scoring: ScoringDesk;
  readonly mayUse: (principal: Principal, model: string, address: string) => boolean;
  /** Seconds without use after which a session is gone. */
  readonly sessionSeconds: number;
}

const scoreModel = (id: string) => ({ type: 'score_model', id });

/** Encrypted scoring: features and scores pass through it as ciphertexts alone. */
export function scoringRoutes({ scoring, mayUse, sessionSeconds }: ScoringRoutesDeps): Route[] {
  const seen = { credentials: 'any', stepUp: NO_STEP_UP, counts: 'none' } as const;
  return [
    route({
      ...seen,
      id: 'scoring.models.list',
      method: 'GET',
      path: '/v1/scoring/models',
      summary: 'The score models that the caller may use',
      access: { action: 'models.list', resource: () => ({ type: 'catalogue', id: 'models' }), denial: 'forbidden' },
      records: 'none',
      response: DescriptorList,
      handle: async ({ principal, address }) => {
        const data = scoring.list().filter(({ id }) => mayUse(principal, id, address));
        const answer: DescriptorList = { object: 'list', data: data.map(answerOf) };
        return { kind: 'json', body: answer };
      },
    }),
    route<{ id: string }>({
      ...seen,
      id: 'scoring.models.get',
      method: 'GET',
      path: '/v1/scoring/models/:id',
      summary: 'What a client needs to know of a score model; never its weights',
      access: { action: 'score', resource: ({ params }) => scoreModel(params.id), denial: 'model_not_found' },
      records: 'none',
      params: ModelPath,
      response: DescriptorAnswer,
      handle: async ({ params }) => ({ kind: 'json', body: answerOf(scoring.model(params.id)) }),
    }),
    route<undefined, { model: string }, Buffer>({
      ...seen,
      id: 'scoring.keys.create',
      method: 'POST',
      path: '/v1/scoring/keys',
      summary: 'Open a scoring session with its evaluation keys',
      access: { action: 'score', resource: ({ query }) => scoreModel(query.model), denial: 'model_not_found' },
      records: 'full',
      query: ModelQuery,
      bytes: { type: FRAME_TYPE, length: ({ query }) => bytesOf(scoring.model(query.model)).keys },
      response: KeysAnswer,
      handle: async ({ query, principal, body, report }) => {
        const { id, keysHash } = scoring.open(principal, query.model, body);
        report(() => ({
          ran: true,
          tokens: 0,
          facts: { keys_sha256: keysHash, keys_bytes: body.length },
          opening: null,
        }));
        const answer: KeysAnswer = { object: 'scoring.keys', id, expires_in: sessionSeconds };
        return { kind: 'json', status: 201, body: answer };
      },
    }),
    route<{ id: string }>({
      ...seen,
      id: 'scoring.keys.delete',
      method: 'DELETE',
      path: '/v1/scoring/keys/:id',
      summary: 'Close a scoring session and forget its keys',
      access: { action: 'score.end', resource: () => ({ type: 'scoring', id: 'keys' }), denial: 'forbidden' },
      records: 'denials',
      params: KeyPath,
      handle: async ({ params, principal }) => {
        scoring.close(principal, params.id);
        return { kind: 'empty' };
      },
    }),
    route<{ id: string }, { mode: 'single' | 'batch' }, Buffer>({
      ...seen,
      id: 'scoring.evaluate',
      method: 'POST',
      path: '/v1/scoring/models/:id/evaluate',
      summary: 'Score encrypted customers',
      access: { action: 'score', resource: ({ params }) => scoreModel(params.id), denial: 'model_not_found' },
      counts: ({ body }) => reserveFor(body),
      records: 'full',
      params: ModelPath,
      query: ModeQuery,
      bytes: { type: FRAME_TYPE, length: ({ params, query }) => lengthOf(scoring.model(params.id), query.mode) },
      handle: async ({ params, query, principal, body, signal, report }) => {
        let facts: EvaluationFacts | null = null;
        report(() => ({
          ran: facts !== null,
          // Without a result nobody knows what it took: what was reserved is charged.
          tokens: facts?.cpu_us == null ? null : chargeFor(facts.customers, facts.cpu_us),
          facts: { ...facts },
          opening: null,
        }));
        const result = await scoring.evaluate(principal, params.id, query.mode, body, signal, (told) => {
          facts = told;
        });
        return { kind: 'bytes', type: FRAME_TYPE, body: result };
      },
    }),
  ];
}

function bytesOf({ set, descriptor }: ServedModel): DescriptorAnswer['bytes'] {
  return {
    keys: sessionBytes(set, descriptor),
    single: descriptor.modes.includes('single') ? requestBytes(set, descriptor, 'single') : null,
    batch: requestBytes(set, descriptor, 'batch'),
  };
}

/** A mode that the model has not is refused by the service, in words; no body of it is read. */
const lengthOf = (model: ServedModel, mode: 'single' | 'batch'): number => bytesOf(model)[mode] ?? 0;

function answerOf(model: ServedModel): DescriptorAnswer {
  const { descriptor, set, steps, document } = model;
  return {
    object: 'scoring.model',
    ...descriptor,
    features: descriptor.features.map(({ name, mean, scale, clip }) => ({
      name,
      mean,
      scale,
      clip: [clip[0], clip[1]],
    })),
    modes: [...descriptor.modes],
    provenance: document.provenance,
    rotations: [...steps],
    batch_size: batchSize(set),
    bytes: bytesOf(model),
  };
}
