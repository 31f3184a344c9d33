import { Commitment } from '#audit/commitment.ts';
import type { Engine } from '#engine/engine.ts';
import type { Priority } from '#engine/priority.ts';
import { eventFrame } from '#http/reply.ts';
import { NO_STEP_UP, type Route, route } from '#http/route.ts';
import type { Clock } from '#kernel/clock.ts';
import { newKey } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation } from '#quota/reservation.ts';
import { type ChatChunk, ChatCompletion, ChatRequest } from './chat.contract.ts';
import { askOf, generationRequest, tokensToReserve, usageOf } from './chat.ts';
import { Completion } from './completion.ts';

export interface ChatDeps {
  readonly engine: (model: string) => Engine | undefined;
  readonly clock: Clock;
  readonly priorityOf: (principal: Principal, tier: string | null | undefined) => Priority;
  /** Largest body in bytes. */
  readonly bodyLimit: number;
}

export function chatRoutes({ engine, clock, priorityOf, bodyLimit }: ChatDeps): Route[] {
  return [
    route<undefined, undefined, ChatRequest>({
      id: 'chat.completions',
      method: 'POST',
      path: '/v1/chat/completions',
      summary: 'Answer a conversation, whole or as a stream of server-sent events',
      access: {
        action: 'infer',
        resource: ({ body }) => ({ type: 'model', id: body.model }),
        denial: 'model_not_found',
      },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      asks: ({ body }) => askOf(body, engine(body.model)?.status()),
      counts: ({ body, size }, grant) => tokensToReserve(body, grant?.max_tokens, size, engine(body.model)?.status()),
      records: 'full',
      body: ChatRequest,
      bodyLimit,
      response: ChatCompletion,
      handle: async ({ body, requestId, principal, signal, report, grant, tokens, extend }) => {
        const model = engine(body.model);
        if (model === undefined) throw new Problem('model_not_found');
        const credit = new Reservation({ tokens, extend, refuse: promptRefusal });
        const request = {
          ...generationRequest(body, grant, requestId, principal.subject, credit),
          priority: priorityOf(principal, body.service_tier),
        };
        const completion = new Completion(model, request, signal, {
          clock,
          longestPrompt: grant?.context ?? null,
          limit: () => credit.limit,
          commitment: new Commitment(newKey()),
        });
        report(() => completion.report());
        await completion.begin();
        const head: Head = { id: `chatcmpl-${requestId}`, created: Math.floor(clock.now() / 1000), model: body.model };
        if (body.stream !== true) return { kind: 'json', body: await whole(head, completion) };
        return { kind: 'stream', frames: frames(head, completion, body.stream_options?.include_usage === true) };
      },
    }),
  ];
}

interface Head {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

async function whole(head: Head, completion: Completion): Promise<ChatCompletion> {
  let content = '';
  for await (const text of completion.text()) content += text;
  return {
    ...head,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null },
        logprobs: null,
        finish_reason: completion.finishReason,
      },
    ],
    usage: usageOf(completion.usage),
    ...completion.stoppedBy,
  };
}

/** OpenAI's order: the role, the text, the finish reason, and the usage where it was asked for. */
async function* frames(
  head: Head,
  completion: Completion,
  includeUsage: boolean,
): AsyncGenerator<string, void, undefined> {
  const usage = includeUsage ? { usage: null } : {};
  const chunk = (
    delta: ChatChunk['choices'][number]['delta'],
    finish_reason: 'stop' | 'length' | null = null,
    stopped: Pick<ChatChunk, 'stopped_by'> = {},
  ): string =>
    eventFrame({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...usage,
      ...stopped,
    } satisfies ChatChunk);
  yield chunk({ role: 'assistant', content: '' });
  for await (const text of completion.text()) yield chunk({ content: text });
  yield chunk({}, completion.finishReason, completion.stoppedBy);
  if (includeUsage) {
    yield eventFrame({
      ...head,
      object: 'chat.completion.chunk',
      choices: [],
      usage: usageOf(completion.usage),
    } satisfies ChatChunk);
  }
}
