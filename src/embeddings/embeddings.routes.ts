import { Commitment } from '#audit/commitment.ts';
import type { Engine } from '#engine/engine.ts';
import type { Priority } from '#engine/priority.ts';
import { vectorText } from '#engine/vector-text.ts';
import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Clock } from '#kernel/clock.ts';
import { newKey } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation } from '#quota/reservation.ts';
import { Embeddings, EmbeddingsRequest } from './embeddings.contract.ts';
import { tokensToReserve, VectorList } from './embeddings.ts';

export interface EmbeddingsDeps {
  readonly engine: (model: string) => Engine | undefined;
  readonly clock: Clock;
  readonly priorityOf: (principal: Principal, tier: null) => Priority;
  /** Largest body in bytes. */
  readonly bodyLimit: number;
}

const textsOf = ({ input }: EmbeddingsRequest): readonly string[] => (typeof input === 'string' ? [input] : input);

export function embeddingsRoutes({ engine, clock, priorityOf, bodyLimit }: EmbeddingsDeps): Route[] {
  return [
    route<undefined, undefined, EmbeddingsRequest>({
      id: 'embeddings',
      method: 'POST',
      path: '/v1/embeddings',
      summary: 'Turn texts into vectors of length 1',
      // One right with asking the model: what it may be told, and by whom, does not depend on what it makes of it.
      access: {
        action: 'infer',
        resource: ({ body }) => ({ type: 'model', id: body.model }),
        denial: 'model_not_found',
      },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      // Nothing is sampled; the bound of the prompt's length holds for each text.
      asks: () => ({}),
      counts: ({ body }) => tokensToReserve(textsOf(body), engine(body.model)?.status().engine),
      records: 'full',
      body: EmbeddingsRequest,
      bodyLimit,
      response: Embeddings,
      handle: async ({ body, requestId, principal, signal, report, grant, tokens, extend }) => {
        const model = engine(body.model);
        if (model === undefined) throw new Problem('model_not_found');
        const request = {
          requestId,
          model: body.model,
          inputs: textsOf(body),
          subject: principal.subject,
          priority: priorityOf(principal, null),
          credit: new Reservation({ tokens, extend, refuse: promptRefusal }),
        };
        const commitment = new Commitment(newKey());
        const list = new VectorList(model, request, signal, {
          clock,
          commitment,
          input: body.input,
          longestText: grant?.context ?? null,
        });
        report(() => list.report());
        const vectors = await list.make();
        const spell = body.encoding_format === 'base64' ? vectorText : (values: Float32Array) => [...values];
        const answer: Embeddings = {
          object: 'list',
          model: body.model,
          data: vectors.map((values, index) => ({ object: 'embedding', index, embedding: spell(values) })),
          usage: { prompt_tokens: list.promptTokens, total_tokens: list.promptTokens },
        };
        return { kind: 'json', body: answer };
      },
    }),
  ];
}
