import { Commitment } from '#audit/commitment.ts';
import { DEFAULTS, usageOf } from '#chat/chat.ts';
import { Choices } from '#chat/choices.ts';
import { Completion } from '#chat/completion.ts';
import type { Engine } from '#engine/engine.ts';
import type { Priority } from '#engine/priority.ts';
import { eventFrame } from '#http/reply.ts';
import { NO_STEP_UP, type Route, route, type Write } from '#http/route.ts';
import { canonicalJson } from '#kernel/canonical-json.ts';
import type { Clock } from '#kernel/clock.ts';
import { newKey } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';
import { promptRefusal } from '#quota/limit.ts';
import { Reservation } from '#quota/reservation.ts';
import { CompletionRequest, TextCompletion } from './completions.contract.ts';
import { askOf, generationRequests, shareOut, tokensToReserve } from './completions.ts';
import { LegacyLogprobsWriter } from './legacy-logprobs.ts';

export interface CompletionsDeps {
  readonly engine: (model: string) => Engine | undefined;
  readonly clock: Clock;
  readonly priorityOf: (principal: Principal, tier: null) => Priority;
  /** Largest body in bytes. */
  readonly bodyLimit: number;
}

export function completionsRoutes({ engine, clock, priorityOf, bodyLimit }: CompletionsDeps): Route[] {
  const statusOf = (model: string) => engine(model)?.status();
  return [
    route<undefined, undefined, CompletionRequest>({
      id: 'completions',
      method: 'POST',
      path: '/v1/completions',
      summary: 'Go on from a prompt as it stands, without a chat template, whole or as a stream of server-sent events',
      access: {
        action: 'infer',
        resource: ({ body }) => ({ type: 'model', id: body.model }),
        denial: 'model_not_found',
      },
      credentials: 'any',
      stepUp: NO_STEP_UP,
      asks: ({ body }) => {
        const status = statusOf(body.model);
        return askOf(body, status && DEFAULTS[status.engine]);
      },
      counts: ({ body }, grant) => tokensToReserve(body, grant, statusOf(body.model)),
      records: 'full',
      body: CompletionRequest,
      bodyLimit,
      response: TextCompletion,
      handle: async ({ body, requestId, principal, signal, report, grant, tokens, extend }) => {
        const model = engine(body.model);
        if (model === undefined) throw new Problem('model_not_found');
        const credits = shareOut(tokens, body, model.status()).map(
          (share) => new Reservation({ tokens: share, extend, refuse: promptRefusal }),
        );
        const about = {
          requestId,
          subject: principal.subject,
          priority: priorityOf(principal, null),
          ...(body.cache_salt == null ? {} : { cacheSalt: body.cache_salt }),
        };
        const commitment = new Commitment(newKey());
        const completions = generationRequests(body, grant, about, credits).map(
          (request, index) =>
            new Completion(model, request, signal, {
              clock,
              longestPrompt: grant?.context ?? null,
              limit: () => credits[index]?.limit ?? null,
              commitment,
            }),
        );
        // What they were not given of their shares goes back with the outcome.
        const choices = completions.map((completion) => ({ completion, credit: { close: () => {} } }));
        const answer = new Choices(choices, model.status().slots, commitment);
        // A single answer is committed to as its text alone.
        const single = completions.length === 1 ? completions[0] : undefined;
        report(() => {
          const { facts, ...rest } = (single ?? answer).report();
          return { ...rest, facts: { ...facts, prompt_commitment: commitment.to(canonicalJson(body.prompt)) } };
        });
        await answer.begin();
        const head: Head = {
          id: `cmpl-${requestId}`,
          object: 'text_completion',
          created: Math.floor(clock.now() / 1000),
          model: body.model,
        };
        if (body.stream !== true) return { kind: 'json', body: await whole(head, answer) };
        const includeUsage = body.stream_options?.include_usage === true;
        return { kind: 'stream', tell: (write) => tell(head, answer, includeUsage, write) };
      },
    }),
  ];
}

type Choice = TextCompletion['choices'][number];
type Head = Pick<TextCompletion, 'id' | 'object' | 'created' | 'model'>;

/** A prompt has no tools that could be called. */
const reasonOf = ({ finishReason }: Completion) => (finishReason === 'length' ? 'length' : 'stop');

async function whole(head: Head, answer: Choices): Promise<TextCompletion> {
  await answer.make(() => {});
  return {
    ...head,
    choices: answer.completions.map((completion, index) => ({
      text: completion.answer.content,
      index,
      logprobs: completion.logprobs && new LegacyLogprobsWriter().piece(completion.answer.content, completion.logprobs),
      finish_reason: reasonOf(completion),
    })),
    usage: usageOf(answer.usage),
    ...answer.stoppedBy,
  };
}

/** OpenAI's order: the texts as they come, each choice's finish reason, and the usage where it was asked for. */
async function tell(head: Head, answer: Choices, includeUsage: boolean, write: Write): Promise<void> {
  const usage = includeUsage ? { usage: null } : {};
  const writers = answer.completions.map(() => new LegacyLogprobsWriter());
  const chunk = (
    { text, index, logprobs = null }: Pick<Choice, 'text' | 'index'> & Partial<Choice>,
    finish_reason: Choice['finish_reason'],
    stopped: object = {},
  ): string =>
    eventFrame({
      ...head,
      choices: [{ text, index, logprobs, finish_reason }],
      ...usage,
      ...stopped,
    } satisfies TextCompletion);
  await answer.make(({ index, delta }) => {
    if (delta === null) {
      const completion = answer.completions[index] as Completion;
      return write(chunk({ text: '', index }, reasonOf(completion), completion.stoppedBy));
    }
    const { text, logprobs: told } = delta;
    const logprobs = told === undefined ? null : (writers[index]?.piece(text, told) ?? null);
    return write(chunk({ text, index, logprobs }, null));
  });
  if (includeUsage) {
    await write(eventFrame({ ...head, choices: [], usage: usageOf(answer.usage) } satisfies TextCompletion));
  }
}
