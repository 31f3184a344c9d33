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
const completion = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({ content: z.string().nullish() }),
        finish_reason,
        logprobs: z.unknown().optional(),
      }),
    )
    .min(1),
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
/** Of `/v1/completions`, which goes on from a prompt. */
const textCompletion = z.object({
  choices: z.array(z.object({ text: z.string(), finish_reason })).min(1),
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
  /** As it came, to be read where it was asked for. */
  readonly logprobs?: unknown;
}

/** Probabilities of a piece's tokens; empty where there are none. @returns null for anything else */
export function readLogprobs(value: unknown) {
  const parsed = logprobs.nullish().safeParse(value);
  return parsed.success ? (parsed.data?.content ?? []) : null;
}

/** @returns null for anything that is not a chat completion. */
export function readCompletion(text: string): UpstreamPiece | null {
  const parsed = completion.safeParse(parseJson(text));
  const choice = parsed.data?.choices[0];
  if (choice === undefined) return null;
  return { ...pieceOf(choice.message.content ?? '', choice, parsed.data?.usage), logprobs: choice.logprobs };
}

/** @returns null for anything that is not the completion of a prompt. */
export function readTextCompletion(text: string): UpstreamPiece | null {
  const parsed = textCompletion.safeParse(parseJson(text));
  const choice = parsed.data?.choices[0];
  return choice === undefined ? null : pieceOf(choice.text, choice, parsed.data?.usage);
}

/** @returns null for anything that is not a list of vectors. */
export function readEmbeddings(text: string): z.infer<typeof embeddings> | null {
  return embeddings.safeParse(parseJson(text)).data ?? null;
}

const pieceOf = (
  text: string,
  choice: { readonly finish_reason?: string | null | undefined },
  counted: UpstreamUsage | null | undefined,
): UpstreamPiece => ({ text, finishReason: choice.finish_reason ?? null, usage: counted ?? null });

/**
 * Checked by hand: this runs once per token. The text stands in `delta.content` or, of a prompt's completion, in `text`.
 *
 * @returns null for anything that is not a chunk, and for a chunk that reports an error
 */
export function readChunk(text: string): UpstreamPiece | null {
  const value = parseJson(text) as { choices?: unknown; usage?: unknown; error?: unknown } | null | undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value.error) return null;
  const choice = (Array.isArray(value.choices) ? value.choices[0] : undefined) as
    | { delta?: { content?: unknown } | null; text?: unknown; finish_reason?: unknown; logprobs?: unknown }
    | null
    | undefined;
  const content = choice?.delta?.content ?? choice?.text ?? '';
  const finishReason = choice?.finish_reason ?? null;
  if (typeof content !== 'string' || (finishReason !== null && typeof finishReason !== 'string')) return null;
  const reported = value.usage ?? null;
  const counted = reported === null ? null : usage.safeParse(reported);
  if (counted?.success === false) return null;
  return { text: content, finishReason, usage: counted?.data ?? null, logprobs: choice?.logprobs };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
