import { z } from 'zod';

/** Message content: text, or OpenAI's list of parts of which only text can be answered by a local model. */
const Content = z.union([z.string(), z.array(z.object({ type: z.literal('text'), text: z.string() })).min(1)]);

const Message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: Content,
});

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

/** Far above any context, far below where a sum of tokens would stop being an exact integer. */
const MaxTokens = z.number().int().min(1).max(2_147_483_647);

/** POST /v1/chat/completions: OpenAI's names and limits. Unknown members are ignored, as OpenAI does. */
export const ChatRequest = z.object({
  model: z.string().min(1).max(64),
  messages: z.array(Message).min(1).max(1024),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  max_tokens: MaxTokens.nullish(),
  max_completion_tokens: MaxTokens.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  /** Their names are what policy bounds; the models behind this route do not call any. */
  tools: z.array(z.record(z.string(), z.unknown())).max(128).nullish(),
  stop: z.union([z.string().min(1).max(256), z.array(z.string().min(1).max(256)).max(4)]).nullish(),
  seed: z.number().int().min(0).max(4_294_967_295).nullish(),
  n: z.literal(1, 'this gateway answers with one choice: n must be 1').nullish(),
  response_format: ResponseFormat.nullish(),
  /** `flex` steps back behind those who wait; whatever else it says changes nothing. */
  service_tier: z.string().max(32).nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

export const ChatUsage = z.object({
  prompt_tokens: z.number().int(),
  completion_tokens: z.number().int(),
  total_tokens: z.number().int(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().int() }),
});
export type ChatUsage = z.infer<typeof ChatUsage>;

/** Beside `finish_reason: "length"` where a quota was used up: which one. */
const StoppedBy = z.object({ quota: z.string(), scope: z.string() });

/** A whole answer, when `stream` is not set. */
export const ChatCompletion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.number().int(),
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.number().int(),
      message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
      logprobs: z.null(),
      finish_reason: z.enum(['stop', 'length']),
    }),
  ),
  usage: ChatUsage,
  stopped_by: StoppedBy.optional(),
});
export type ChatCompletion = z.infer<typeof ChatCompletion>;

/** One server-sent event of a stream; the last one before `[DONE]` has `finish_reason`, or `usage` where asked for. */
export interface ChatChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: 0;
    readonly delta: { readonly role?: 'assistant'; readonly content?: string };
    readonly logprobs: null;
    readonly finish_reason: 'stop' | 'length' | null;
  }[];
  readonly usage?: ChatUsage | null;
  readonly stopped_by?: z.infer<typeof StoppedBy>;
}
