import { Commitment } from '#audit/commitment.ts';
import type { Engine, GenerationDelta, GenerationRequest, TokenLogprob } from '#engine/engine.ts';
import type { CallPiece } from '#engine/grammar/call-reader.ts';
import type { Priority } from '#engine/priority.ts';
import { eventFrame } from '#http/reply.ts';
import { NO_STEP_UP, type Route, route, type Write } from '#http/route.ts';
import type { Clock } from '#kernel/clock.ts';
import { newKey } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { CreditShares } from '#quota/credit-shares.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation } from '#quota/reservation.ts';
import { type ChatCallDelta, type ChatChunk, ChatCompletion, type ChatLogprobs, ChatRequest } from './chat.contract.ts';
import { askOf, generationRequest, tokensToReserve, usageOf } from './chat.ts';
import { Choices } from './choices.ts';
import { Completion, type CompletionDeps } from './completion.ts';

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
        const deps = {
          clock,
          longestPrompt: grant?.context ?? null,
          limit: () => credit.limit,
          commitment: new Commitment(newKey()),
        };
        const head: Head = { id: `chatcmpl-${requestId}`, created: Math.floor(clock.now() / 1000), model: body.model };
        const count = body.n ?? 1;
        const answer =
          count === 1 ? new Completion(model, request, signal, deps) : sideBySide(count, model, request, signal, deps);
        report(() => answer.report());
        await answer.begin();
        if (body.stream !== true) return { kind: 'json', body: await whole(head, answer) };
        const includeUsage = body.stream_options?.include_usage === true;
        return { kind: 'stream', tell: (write) => tell(head, answer, includeUsage, write) };
      },
    }),
  ];
}

/** Each answer with a seed of its own, where one is given: the same seed would say the same. */
function sideBySide(
  count: number,
  model: Engine,
  request: GenerationRequest,
  signal: AbortSignal,
  deps: CompletionDeps,
): Choices {
  const { shares } = new CreditShares(request.credit, count);
  const choices = shares.map((credit, index) => {
    const seed = request.seed === undefined ? {} : { seed: (request.seed + index) % 2 ** 32 };
    return { completion: new Completion(model, { ...request, ...seed, credit }, signal, deps), credit };
  });
  return new Choices(choices, model.status().slots, deps.commitment);
}

interface Head {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

async function whole(head: Head, answer: Completion | Choices): Promise<ChatCompletion> {
  await answer.make(() => {});
  const completions = answer instanceof Completion ? [answer] : answer.completions;
  return {
    ...head,
    object: 'chat.completion',
    choices: completions.map((completion, index) => ({
      index,
      message: messageOf(completion),
      logprobs: logprobsOf(completion.logprobs),
      finish_reason: completion.finishReason,
    })),
    usage: usageOf(answer.usage),
    ...answer.stoppedBy,
  };
}

/** OpenAI's answer that is calls alone has no text at all. */
function messageOf({
  answer: { content, reasoning_content, tool_calls: calls },
}: Completion): ChatCompletion['choices'][number]['message'] {
  const thought = reasoning_content === undefined ? {} : { reasoning_content };
  if (calls.length === 0) return { role: 'assistant', content, ...thought, refusal: null };
  return { role: 'assistant', content: content === '' ? null : content, ...thought, refusal: null, tool_calls: calls };
}

const callDelta = ({ index, id, name, arguments: values }: CallPiece): ChatCallDelta =>
  id === undefined || name === undefined
    ? { index, function: { arguments: values } }
    : { index, id, type: 'function', function: { name, arguments: values } };

const logprobsOf = (content: readonly TokenLogprob[] | null | undefined): ChatLogprobs | null =>
  content ? { content, refusal: null } : null;

const deltaOf = ({ text, thought, calls }: GenerationDelta): Delta => ({
  ...(text === '' ? {} : { content: text }),
  ...(thought ? { reasoning_content: thought } : {}),
  ...(calls === undefined ? {} : { tool_calls: calls.map(callDelta) }),
});

type Delta = ChatChunk['choices'][number]['delta'];

/** Writes the events of one stream. */
class ChunkWriter {
  readonly #head: Head;
  readonly #includeUsage: boolean;
  /** By choice, what stands around the text of a piece that is nothing but text: it is the same in all of them. */
  readonly #around: (readonly [before: string, after: string])[] = [];

  constructor(head: Head, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  first(index: number): string {
    return this.#chunk(index, { role: 'assistant', content: '' }, null, null, {});
  }

  piece(index: number, piece: GenerationDelta): string {
    const { text, logprobs, calls, thought } = piece;
    if (calls !== undefined || thought) return this.#chunk(index, deltaOf(piece), logprobsOf(logprobs), null, {});
    if (logprobs !== undefined) return this.#chunk(index, { content: text }, logprobsOf(logprobs), null, {});
    this.#around[index] ??= this.#aroundText(index);
    const [before, after] = this.#around[index];
    return before + JSON.stringify(text) + after;
  }

  #aroundText(index: number): readonly [string, string] {
    const nothing = this.#chunk(index, { content: '' }, null, null, {});
    // What comes after it is ours alone: no name of a model, which might hold as much.
    const at = nothing.lastIndexOf('""');
    return [nothing.slice(0, at), nothing.slice(at + 2)];
  }

  last(index: number, { finishReason, stoppedBy }: Completion): string {
    return this.#chunk(index, {}, null, finishReason, stoppedBy);
  }

  #chunk(
    index: number,
    delta: Delta,
    logprobs: ChatLogprobs | null,
    finish_reason: Completion['finishReason'] | null,
    stopped: Pick<ChatChunk, 'stopped_by'>,
  ): string {
    return eventFrame({
      ...this.#head,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs, finish_reason }],
      ...(this.#includeUsage ? { usage: null } : {}),
      ...stopped,
    } satisfies ChatChunk);
  }

  usage({ usage }: Completion | Choices): string {
    return eventFrame({
      ...this.#head,
      object: 'chat.completion.chunk',
      choices: [],
      usage: usageOf(usage),
    } satisfies ChatChunk);
  }
}

/** OpenAI's order: the role, the text, the finish reason, and the usage where it was asked for. */
async function tell(head: Head, answer: Completion | Choices, includeUsage: boolean, write: Write): Promise<void> {
  const writer = new ChunkWriter(head, includeUsage);
  if (answer instanceof Completion) {
    await write(writer.first(0));
    await answer.make((delta) => write(writer.piece(0, delta)));
    await write(writer.last(0, answer));
  } else {
    for (const index of answer.completions.keys()) await write(writer.first(index));
    await answer.make(({ index, delta }) =>
      write(delta === null ? writer.last(index, answer.completions[index] as Completion) : writer.piece(index, delta)),
    );
  }
  if (includeUsage) await write(writer.usage(answer));
}
