import type {
  ChatMessage,
  FunctionTool,
  GenerationRequest,
  ModelStatus,
  ResponseFormat,
  TokenCredit,
  ToolCall,
  ToolUse,
  Usage,
} from '#engine/engine.ts';
import type { ModelAsk, ModelGrant, Reserve } from '#kernel/gate.ts';
import { Problem } from '#kernel/problem.ts';
import { SLICE_TOKENS } from '#quota/reservation.ts';

/** The body of POST /v1/chat/completions after its schema. */
export interface ChatBody {
  readonly model: string;
  readonly messages: readonly {
    readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
    readonly content?: string | readonly { readonly text: string }[] | null | undefined;
    readonly tool_calls?: readonly ToolCall[] | null | undefined;
    readonly tool_call_id?: string;
  }[];
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | null | undefined;
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
  readonly tools?: readonly { readonly function: FunctionTool }[] | null | undefined;
  readonly tool_choice?:
    | 'none'
    | 'auto'
    | 'required'
    | { readonly function: { readonly name: string } }
    | null
    | undefined;
  readonly parallel_tool_calls?: boolean | null | undefined;
  readonly seed?: number | null | undefined;
  readonly n?: number | null | undefined;
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly cache_salt?: string | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  readonly response_format?:
    | { readonly type: 'text' | 'json_object' }
    | {
        readonly type: 'json_schema';
        readonly json_schema: { readonly name: string; readonly schema: Record<string, unknown> };
      }
    | null
    | undefined;
}

/** Tokens of a prompt are not known before the model has counted them: a quarter of the bytes and the template's. */
const BYTES_PER_TOKEN = 4;
const TEMPLATE_TOKENS = 256;

type CountedBy = Pick<ModelStatus, 'engine' | 'contextSize' | 'maxOutputTokens'>;

/**
 * Tokens to take at admission: the prompt's estimate and the first slice of the answer, of which one token is enough to
 * begin. Another server's tokenizer is not ours: its prompt is taken for as long as it can be, and a whole answer, which
 * can't be stopped on its way, is reserved at once.
 */
export function tokensToReserve(
  body: ChatBody,
  maxTokens: number | undefined,
  size: number,
  model: CountedBy | undefined,
): Reserve {
  const isUpstream = model?.engine === 'upstream';
  const longest = longestAnswer(maxTokens, model);
  const choices = body.n ?? 1;
  const prompt = choices * (TEMPLATE_TOKENS + (isUpstream ? size : Math.ceil(size / BYTES_PER_TOKEN)));
  const whole = choices * longest;
  const answer = isUpstream && body.stream !== true ? whole : Math.min(SLICE_TOKENS, whole);
  return { tokens: prompt + answer, least: prompt + Math.min(1, answer) };
}

/** What a model takes of itself where nobody says anything: ours, and by OpenAI's documentation. */
export const DEFAULTS = {
  llama: { temperature: 0.7, top_p: 0.95 },
  upstream: { temperature: 1, top_p: 1 },
} as const;

/** What the body asks of its model, for policy to bound. */
export const askOf = (
  body: ChatBody,
  model: Pick<ModelStatus, 'engine' | 'maxOutputTokens'> | undefined,
): ModelAsk => ({
  temperature: body.temperature ?? undefined,
  top_p: body.top_p ?? undefined,
  max_tokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
  tools: body.tools?.map((tool) => tool.function.name),
  defaults: model === undefined ? undefined : { ...DEFAULTS[model.engine], max_tokens: model.maxOutputTokens },
});

/** No answer is longer than its model's context, whatever the caller asks for: more would lock up tokens for nothing. */
const longestAnswer = (maxTokens: number | undefined, model: CountedBy | undefined) =>
  Math.min(maxTokens ?? model?.maxOutputTokens ?? 0, model?.contextSize ?? Number.POSITIVE_INFINITY);

/** OpenAI's request in the engine's words. `developer` is OpenAI's newer name for `system`. */
export function generationRequest(
  body: ChatBody,
  grant: ModelGrant | null,
  requestId: string,
  subject: string,
  credit: TokenCredit,
): GenerationRequest {
  const { temperature, top_p: topP, max_tokens: maxTokens } = grant ?? {};
  const stop = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  return {
    requestId,
    model: body.model,
    messages: messagesOf(body),
    responseFormat: formatOf(body),
    subject,
    stream: body.stream === true,
    credit,
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(body.seed == null ? {} : { seed: body.seed }),
    ...(stop.length === 0 ? {} : { stop }),
    ...toolUse(body, grant),
    ...(body.logprobs === true ? { topLogprobs: body.top_logprobs ?? 0 } : {}),
    ...(body.logit_bias == null ? {} : { logitBias: body.logit_bias }),
    ...(body.frequency_penalty ? { frequencyPenalty: body.frequency_penalty } : {}),
    ...(body.presence_penalty ? { presencePenalty: body.presence_penalty } : {}),
    ...(body.cache_salt == null ? {} : { cacheSalt: body.cache_salt }),
  };
}

const messagesOf = (body: ChatBody): ChatMessage[] =>
  body.messages.map(({ role, content, tool_calls, tool_call_id }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join(''),
    ...(tool_calls == null ? {} : { tool_calls }),
    ...(tool_call_id === undefined ? {} : { tool_call_id }),
  }));

/** The functions that policy leaves. @throws Problem `out_of_bounds` where the one that must be called is not among them */
function toolUse(body: ChatBody, grant: ModelGrant | null): { readonly tools?: ToolUse } {
  const allowed = new Set(grant?.tools ?? body.tools?.map((tool) => tool.function.name));
  const functions = (body.tools ?? []).map((tool) => tool.function).filter(({ name }) => allowed.has(name));
  const { tool_choice: chosen } = body;
  const choice = typeof chosen === 'object' && chosen !== null ? chosen.function : (chosen ?? 'auto');
  if (typeof choice === 'object' && !allowed.has(choice.name)) throw bounded('tool_choice: policy does not allow it.');
  if (choice === 'required' && functions.length === 0) throw bounded('tool_choice: policy allows none of the tools.');
  return functions.length === 0 ? {} : { tools: { functions, choice, parallel: body.parallel_tool_calls !== false } };
}

const bounded = (message: string) => new Problem('out_of_bounds', { message, param: 'tool_choice' });

function formatOf({ response_format: format }: ChatBody): ResponseFormat {
  if (format == null) return { type: 'text' };
  return format.type === 'json_schema'
    ? { type: 'json_schema', name: format.json_schema.name, schema: format.json_schema.schema }
    : { type: format.type };
}

export const usageOf = ({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: Usage) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens },
  ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
});
