import { z } from 'zod';

/**
 * What we read of an OpenAI-compatible server's answers; anything else in them is ignored.
 * A server that sends something of another shape has failed.
 */
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
const embeddings = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()).min(1).max(65_536) })),
  usage: z.object({ prompt_tokens: z.int().nonnegative() }).nullish(),
});

const complaint = z.object({
  message: z.string(),
  type: z.string().nullish(),
  param: z.string().nullish(),
  code: z.union([z.string(), z.number()]).nullish(),
});

/** What a server says that it did not do, and why. */
export interface Complaint {
  /** In the words of HTTP; null where it says nothing of the sort. */
  readonly status: number | null;
  /** Its own word for the sort of it, where it has one. */
  readonly code: string | null;
  readonly message: string;
  readonly param: string | null;
}

export interface UpstreamUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null | undefined } | null | undefined;
  /** As it came. */
  readonly completion_tokens_details?: unknown;
}

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
  const value = parseJson(text) as Chunk | null | undefined;
  const choice = firstOf(value);
  const message = choice?.message;
  if (typeof message !== 'object' || message === null) return null;
  return pieceOf(value, choice, message.content ?? '', message);
}

/** @returns null for anything that is not the completion of a prompt. */
export function readTextCompletion(text: string): UpstreamPiece | null {
  const value = parseJson(text) as Chunk | null | undefined;
  const choice = firstOf(value);
  return typeof choice?.text === 'string' ? pieceOf(value, choice, choice.text, null) : null;
}

/** @returns null for anything that is not a list of vectors. */
export function readEmbeddings(text: string): z.infer<typeof embeddings> | null {
  return embeddings.safeParse(parseJson(text)).data ?? null;
}

/** The body of an answer that is an error, or an event of a stream that has begun as if all were well. @returns null for anything else */
export function readComplaint(text: string): Complaint | null {
  const value = parseJson(text) as { error?: unknown } | null | undefined;
  const { data } = complaint.safeParse(value?.error ?? value);
  if (data === undefined) return null;
  const { message, type, param, code } = data;
  return typeof code === 'number'
    ? { status: code, code: null, message, param: param ?? null }
    : { status: statusOf(type ?? ''), code: code ?? null, message, param: param ?? null };
}

/** Of those who name the sort of an error and no number. */
function statusOf(type: string): number | null {
  if (/rate_?limit/i.test(type)) return 429;
  return /invalid_?request|bad_?request/i.test(type) ? 400 : null;
}

/**
 * The text stands in `delta.content` or, of a prompt's completion, in `text`.
 *
 * @returns null for anything that is not a chunk, and for a chunk that reports an error
 */
export function readChunk(text: string): UpstreamPiece | null {
  const value = parseJson(text) as Chunk | null | undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value.error) return null;
  const choice = firstOf(value);
  const delta = choice?.delta;
  return pieceOf(value, choice, delta?.content ?? choice?.text ?? '', delta);
}

const firstOf = (value: Chunk | null | undefined): Choice | null | undefined =>
  Array.isArray(value?.choices) ? value.choices[0] : undefined;

/** Checked by hand: this runs once per token. */
function pieceOf(
  value: Chunk | null | undefined,
  choice: Choice | null | undefined,
  content: unknown,
  said: Said | null | undefined,
): UpstreamPiece | null {
  // What a model thinks aloud, under the names that servers give it.
  const thought = said?.reasoning ?? said?.reasoning_content ?? '';
  const finishReason = choice?.finish_reason ?? null;
  if (typeof content !== 'string' || typeof thought !== 'string') return null;
  if (finishReason !== null && typeof finishReason !== 'string') return null;
  const usage = value?.usage ?? null;
  if (usage !== null && !isUsage(usage)) return null;
  return {
    // Half of a surrogate pair, escaped in JSON, is no text that could be committed to.
    text: content.toWellFormed(),
    finishReason,
    usage,
    model: typeof value?.model === 'string' ? value.model : null,
    thought: thought.toWellFormed(),
    logprobs: choice?.logprobs,
    calls: said?.tool_calls,
  };
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

function isUsage(value: unknown): value is UpstreamUsage {
  if (typeof value !== 'object' || value === null) return false;
  const { prompt_tokens, completion_tokens, prompt_tokens_details: details } = value as Record<string, unknown>;
  if (!isCount(prompt_tokens) || !isCount(completion_tokens)) return false;
  if (details === undefined || details === null) return true;
  const cached = typeof details === 'object' ? (details as Record<string, unknown>)['cached_tokens'] : 'no object';
  return cached === undefined || cached === null || isCount(cached);
}

interface Chunk {
  readonly choices?: unknown;
  readonly usage?: unknown;
  readonly model?: unknown;
  readonly error?: unknown;
}

interface Choice {
  readonly delta?: Said | null;
  readonly message?: Said | null;
  readonly text?: unknown;
  readonly finish_reason?: unknown;
  readonly logprobs?: unknown;
}

interface Said {
  readonly content?: unknown;
  readonly tool_calls?: unknown;
  readonly reasoning?: unknown;
  readonly reasoning_content?: unknown;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
