import { z } from 'zod';
import { CalledFunction, checkConversation, checkTools, Message, Tool, ToolChoice } from './tool.contract.ts';

const ResponseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string().min(1).max(64),
      schema: z.record(z.string(), z.unknown()),
    }),
  }),
]);

/** By token id. */
const LogitBias = z
  .record(z.string(), z.number().min(-100).max(100))
  .refine((bias) => Object.keys(bias).every((id) => /^(0|[1-9]\d{0,8})$/.test(id)), 'a name must be the id of a token')
  .refine((bias) => Object.keys(bias).length <= 300, 'may hold at most 300 tokens');

/** Far above any context, far below where a sum of tokens would stop being an exact integer. */
const MaxTokens = z.number().int().min(1).max(2_147_483_647);

/** OpenAI's members that change nothing of an answer: taken, and not looked at. */
const UNREAD = {
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  prompt_cache_retention: z.unknown().optional(),
};

/** Members of which not all that OpenAI has can be had. */
const FIXED = {
  /** vLLM's: keeps cached prefixes apart for a caller who speaks for several people, another gateway say. */
  cache_salt: z.string().min(1).max(256).nullish(),
  modalities: z.tuple([z.literal('text')], 'answers are text: leave it out').nullish(),
  /** `flex` steps back behind those who wait. */
  service_tier: z.enum(['auto', 'default', 'flex']).nullish(),
  store: z.literal(false, 'answers are not kept: leave it out').nullish(),
  verbosity: z.literal('medium', 'models here take no such setting: leave it out').nullish(),
};

/** What we do not know would be ignored, and the answer not be the one that was asked for. */
const Unknown = z.custom<unknown>((value) => value === null, 'this gateway does not do that: leave it out');

const Penalty = z.number().min(-2).max(2).nullish();

/** POST /v1/chat/completions: OpenAI's names and limits. What could change an answer is done, or refused by name. */
export const ChatRequest = z
  .object({
    model: z.string().min(1).max(64),
    messages: z.array(Message).min(1).max(1024),
    stream: z.boolean().nullish(),
    stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
    max_tokens: MaxTokens.nullish(),
    max_completion_tokens: MaxTokens.nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().gt(0).max(1).nullish(),
    /** Their names are what policy bounds. */
    tools: z.array(Tool).max(128).nullish(),
    tool_choice: ToolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    stop: z.union([z.string().min(1).max(256), z.array(z.string().min(1).max(256)).max(4)]).nullish(),
    seed: z.number().int().min(0).max(4_294_967_295).nullish(),
    n: z.number().int().min(1).max(8).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.number().int().min(0).max(20).nullish(),
    logit_bias: LogitBias.nullish(),
    frequency_penalty: Penalty,
    presence_penalty: Penalty,
    response_format: ResponseFormat.nullish(),
    ...FIXED,
    ...UNREAD,
  })
  .catchall(Unknown)
  .superRefine((body, context) => {
    const fail = (message: string, path: PropertyKey[]) => context.addIssue({ code: 'custom', message, path });
    if (body.top_logprobs != null && body.logprobs !== true) fail('needs logprobs: true', ['top_logprobs']);
    checkConversation(body.messages, fail);
    checkTools(body, fail);
  });
export type ChatRequest = z.infer<typeof ChatRequest>;

export const ChatUsage = z.object({
  prompt_tokens: z.number().int(),
  completion_tokens: z.number().int(),
  total_tokens: z.number().int(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().int() }),
  /** Of a model that thinks before it answers: how many of the answer's tokens were thought. */
  completion_tokens_details: z.object({ reasoning_tokens: z.number().int() }).optional(),
});
export type ChatUsage = z.infer<typeof ChatUsage>;

/** Beside `finish_reason: "length"` where a quota was used up: which one. */
const StoppedBy = z.object({ quota: z.string(), scope: z.string() });

const LikelyToken = { token: z.string(), logprob: z.number(), bytes: z.array(z.number().int()).readonly().nullable() };

const Logprobs = z.object({
  content: z
    .array(z.object({ ...LikelyToken, top_logprobs: z.array(z.object(LikelyToken)).readonly() }))
    .readonly()
    .nullable(),
  refusal: z.null(),
});
export type ChatLogprobs = z.infer<typeof Logprobs>;

/** A whole answer, when `stream` is not set. */
export const ChatCompletion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.number().int(),
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.number().int(),
      message: z.object({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        /** What a model that thinks aloud has thought before it answered; by the name that others give it. */
        reasoning_content: z.string().optional(),
        refusal: z.null(),
        tool_calls: z.array(CalledFunction).readonly().optional(),
      }),
      logprobs: Logprobs.nullable(),
      finish_reason: z.enum(['stop', 'length', 'tool_calls']),
    }),
  ),
  usage: ChatUsage,
  stopped_by: StoppedBy.optional(),
});
export type ChatCompletion = z.infer<typeof ChatCompletion>;

/** A piece of a call: id, type and name come first, the arguments bit by bit. */
export interface ChatCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** One server-sent event of a stream; the last one before `[DONE]` has `finish_reason`, or `usage` where asked for. */
export interface ChatChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: {
      readonly role?: 'assistant';
      readonly content?: string;
      readonly reasoning_content?: string;
      readonly tool_calls?: readonly ChatCallDelta[];
    };
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: 'stop' | 'length' | 'tool_calls' | null;
  }[];
  readonly usage?: ChatUsage | null;
  readonly stopped_by?: z.infer<typeof StoppedBy>;
}
