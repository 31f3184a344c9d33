import { z } from 'zod';

/**
 * What we read of an OpenAI-compatible server's answers; anything else in them is ignored.
 * A server that sends something of another shape has failed.
 */
const usage = z.object({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative(),
  prompt_tokens_details: z.object({ cached_tokens: z.int().nonnegative().nullish() }).nullish(),
});

const finish_reason = z.string().nullish();
const model = z.string().nullish();
/** What a model thinks aloud, under the names that servers give it. */
const reasoning = z.string().nullish();
const message = z.object({
  content: z.string().nullish(),
  tool_calls: z.unknown().optional(),
  reasoning,
  reasoning_content: reasoning,
});
const completion = z.object({
  model,
  choices: z.array(z.object({ message, finish_reason, logprobs: z.unknown().optional() })).min(1),
  usage: usage.nullish(),
});
const likelyToken = {
  token: z.string(),
  logprob: z.number(),
  bytes: z
    .array(z.int().min(0).max(255))
    .readonly()
    .nullish()
    .transform((bytes) => bytes ?? null),
};
const logprobs = z.object({
  content: z
    .array(z.object({ ...likelyToken, top_logprobs: z.array(z.object(likelyToken)).readonly() }))
    .readonly()
    .nullish(),
});
type TokenLogprob = NonNullable<z.infer<typeof logprobs>['content']>[number];
/** Its older form. */
const legacyLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(),
});
/** Of `/v1/completions`, which goes on from a prompt. */
const textCompletion = z.object({
  model,
  choices: z.array(z.object({ text: z.string(), finish_reason, logprobs: z.unknown().optional() })).min(1),
  usage: usage.nullish(),
});

const embeddings = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()).min(1).max(65_536) })),
  usage: z.object({ prompt_tokens: z.int().nonnegative() }).nullish(),
});

export type UpstreamUsage = z.infer<typeof usage>;

/** The same for a chunk of a stream and for a whole answer. */
export interface UpstreamPiece {
  readonly text: string;
  readonly finishReason: string | null;
  readonly usage: UpstreamUsage | null;
  /** The model that the server says answers. */
  readonly model: string | null;
  readonly thought: string;
  /** As they came, to be read where they were asked for. */
  readonly logprobs?: unknown;
  readonly calls?: unknown;
}

const calls = z
  .array(
    z.object({
      index: z.int().min(0).max(127).optional(),
      id: z.string().max(256).nullish(),
      function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
    }),
  )
  .nullish();

/** Pieces of calls; of a whole answer without their places. @returns null for anything else */
export function readCalls(value: unknown): CallPiece[] | null {
  const parsed = calls.safeParse(value);
  if (!parsed.success) return null;
  return (parsed.data ?? []).map(({ index, id, function: called }, at) => ({
    index: index ?? at,
    ...(id ? { id } : {}),
    ...(called?.name ? { name: called.name } : {}),
    arguments: called?.arguments ?? '',
  }));
}

interface CallPiece {
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  readonly arguments: string;
}

/**
 * Probabilities of a piece's tokens, in OpenAI's newer or older form; of the likeliest `top` at most. Empty where there are
 * none. @returns null for anything else
 */
export function readLogprobs(value: unknown, top: number): readonly TokenLogprob[] | null {
  const old = legacyLogprobs.safeParse(value);
  if (old.success) return legacyTokens(old.data, top);
  const parsed = logprobs.nullish().safeParse(value);
  return parsed.success ? (parsed.data?.content ?? []) : null;
}

/** Lists of different lengths are no answer. */
function legacyTokens({ tokens, token_logprobs, top_logprobs }: z.infer<typeof legacyLogprobs>, top: number) {
  if (token_logprobs.length !== tokens.length || (top_logprobs ?? tokens).length !== tokens.length) return null;
  return tokens.map((token, at) => ({
    ...likely(token, token_logprobs[at] ?? 0),
    top_logprobs: Object.entries(top_logprobs?.[at] ?? {})
      .sort(([, one], [, other]) => other - one)
      .slice(0, top)
      .map(([text, logprob]) => likely(text, logprob)),
  }));
}

const likely = (token: string, logprob: number) => ({
  token,
  logprob,
  bytes: token.includes('\ufffd') ? null : [...Buffer.from(token)],
});

/** @returns null for anything that is not a chat completion. */
export function readCompletion(text: string): UpstreamPiece | null {
  const parsed = completion.safeParse(parseJson(text));
  const choice = parsed.data?.choices[0];
  if (parsed.data === undefined || choice === undefined) return null;
  const { message, finish_reason, logprobs } = choice;
  const thought = message.reasoning ?? message.reasoning_content ?? '';
  return {
    ...pieceOf(message.content ?? '', finish_reason, parsed.data, thought),
    logprobs,
    calls: message.tool_calls,
  };
}

/** @returns null for anything that is not the completion of a prompt. */
export function readTextCompletion(text: string): UpstreamPiece | null {
  const parsed = textCompletion.safeParse(parseJson(text));
  const choice = parsed.data?.choices[0];
  if (parsed.data === undefined || choice === undefined) return null;
  return { ...pieceOf(choice.text, choice.finish_reason, parsed.data, ''), logprobs: choice.logprobs };
}

/** @returns null for anything that is not a list of vectors. */
export function readEmbeddings(text: string): z.infer<typeof embeddings> | null {
  return embeddings.safeParse(parseJson(text)).data ?? null;
}

const pieceOf = (
  text: string,
  finishReason: string | null | undefined,
  whole: { readonly usage?: UpstreamUsage | null | undefined; readonly model?: string | null | undefined },
  thought: string,
): UpstreamPiece => ({
  text: text.toWellFormed(),
  finishReason: finishReason ?? null,
  usage: whole.usage ?? null,
  model: whole.model ?? null,
  thought: thought.toWellFormed(),
});

/**
 * Checked by hand: this runs once per token. The text stands in `delta.content` or, of a prompt's completion, in `text`.
 *
 * @returns null for anything that is not a chunk, and for a chunk that reports an error
 */
export function readChunk(text: string): UpstreamPiece | null {
  const value = parseJson(text) as Chunk | null | undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value.error) return null;
  const choice = (Array.isArray(value.choices) ? value.choices[0] : undefined) as Choice | null | undefined;
  const delta = choice?.delta;
  const content = delta?.content ?? choice?.text ?? '';
  const thought = delta?.reasoning ?? delta?.reasoning_content ?? '';
  const finishReason = choice?.finish_reason ?? null;
  if (typeof content !== 'string' || typeof thought !== 'string') return null;
  if (finishReason !== null && typeof finishReason !== 'string') return null;
  const reported = value.usage ?? null;
  const counted = reported === null ? null : usage.safeParse(reported);
  if (counted?.success === false) return null;
  return {
    // Half of a surrogate pair, escaped in JSON, is no text that could be committed to.
    text: content.toWellFormed(),
    finishReason,
    usage: counted?.data ?? null,
    model: typeof value.model === 'string' ? value.model : null,
    thought: thought.toWellFormed(),
    logprobs: choice?.logprobs,
    calls: delta?.tool_calls,
  };
}

interface Chunk {
  readonly choices?: unknown;
  readonly usage?: unknown;
  readonly model?: unknown;
  readonly error?: unknown;
}

interface Choice {
  readonly delta?: {
    readonly content?: unknown;
    readonly tool_calls?: unknown;
    readonly reasoning?: unknown;
    readonly reasoning_content?: unknown;
  } | null;
  readonly text?: unknown;
  readonly finish_reason?: unknown;
  readonly logprobs?: unknown;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
