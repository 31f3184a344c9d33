import type { EmbeddingRequest, GenerationRequest, Usage } from '#engine/engine.ts';
import { MOST_BYTES_PER_TOKEN, promptTexts } from '#engine/refusal.ts';
import { Problem } from '#kernel/problem.ts';

/** What a server says that it has counted, in OpenAI's words. */
export interface ReportedUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null | undefined } | null | undefined;
  /** Unread: what is no count in it is left. */
  readonly completion_tokens_details?: unknown;
}

/** What we know of an answer without the tokenizer of its model. */
export interface OwnCount {
  /** Texts of the prompt. */
  readonly texts: readonly string[];
  /** The most tokens that the prompt and the answer can have, see {@link promptBound} and {@link tokensBound}. */
  readonly prompt: number;
  readonly completion: number;
  /** Bytes of the answer. */
  readonly bytes: number;
  /** The longest answer that was asked for, in tokens. */
  readonly asked: number;
  /** Whether functions could be called. Servers show nothing of a call before its name is whole, and of a malformed one nothing. */
  readonly mayCall: boolean;
}

export interface Count {
  readonly usage: Usage;
  /** What the server said that can't be; then our own count stands. */
  readonly disagrees: 'prompt' | 'completion' | 'cached' | null;
}

const estimateTokens = (text: string): number => Math.max(1, Math.ceil(Buffer.byteLength(text) / 4));

/** For a message to the caller. */
export const estimatePrompt = (request: GenerationRequest): number =>
  promptTexts(request).reduce((sum, text) => sum + estimateTokens(text) + 4, 4);

/** We have no tokenizer of another server's model; no token stands for less than a byte. */
export const tokensBound = (text: string): number => Math.max(1, Buffer.byteLength(text));

/** What a template puts around each message, and around all. */
const MESSAGE_TOKENS = 8;
export const promptBound = (request: GenerationRequest): number =>
  promptTexts(request).reduce((sum, text) => sum + Buffer.byteLength(text) + MESSAGE_TOKENS, MESSAGE_TOKENS);

/** What a model puts around a text before it becomes a vector. */
const INPUT_TOKENS = 2;
export const inputBound = (text: string): number => Buffer.byteLength(text) + INPUT_TOKENS;

/** A server says that an input is too long, and does not say which. */
export function inputTooLong({ inputs }: EmbeddingRequest, contextSize: number | undefined): Problem {
  const [longest, tokens] = inputs
    .map((text, index) => [index, estimateTokens(text)] as const)
    .reduce((most, one) => (one[1] > most[1] ? one : most));
  const takes = contextSize === undefined ? 'takes fewer' : `takes ${contextSize} at a time`;
  return new Problem('context_length_exceeded', {
    message: `An input is too long: number ${longest} has about ${tokens} tokens, this model ${takes}.`,
    param: 'input',
  });
}

/** The most bytes that an answer of so many tokens can have. */
export const bytesBound = (tokens: number): number => tokens * MOST_BYTES_PER_TOKEN;

/** Templates that say more than the conversation (a date, a default system prompt); not charged, and no lie. */
const TEMPLATE_TOKENS = 512;
/** Tokens that end a turn or are not shown. */
const UNSEEN_TOKENS = 16;

/**
 * The server's count, held against ours. Within what can be it stands, the prompt's never above the bound that was reserved and
 * the answer's never above what was asked for; beyond that ours stands, which is the most that there can be of what came.
 */
export function countOf(reported: ReportedUsage | null, own: OwnCount): Count {
  const { prompt, completion, bytes, asked, texts, mayCall } = own;
  const most = mayCall ? asked : Math.min(asked, completion + UNSEEN_TOKENS);
  const ours: Usage = { promptTokens: prompt, completionTokens: completion, cachedTokens: 0 };
  if (reported === null) return { usage: ours, disagrees: null };
  const { prompt_tokens, completion_tokens } = reported;
  const cached = reported.prompt_tokens_details?.cached_tokens ?? 0;
  const promptBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const disagrees =
    prompt_tokens > prompt + TEMPLATE_TOKENS || bytesBound(prompt_tokens) < promptBytes
      ? 'prompt'
      : completion_tokens > most || bytesBound(completion_tokens) < bytes
        ? 'completion'
        : cached > prompt_tokens
          ? 'cached'
          : null;
  if (disagrees === 'prompt' || disagrees === 'completion') return { usage: ours, disagrees };
  const promptTokens = Math.min(prompt, Math.max(1, prompt_tokens));
  const completionTokens = Math.max(completion > 0 ? 1 : 0, completion_tokens);
  const cachedTokens = Math.min(promptTokens, cached);
  const reasoning = reasoningOf(reported, completionTokens);
  return { usage: { promptTokens, completionTokens, cachedTokens, ...reasoning }, disagrees };
}

/** We can't count a thought's tokens: what the server says stands where it can be, and is left out where it can't. */
function reasoningOf({ completion_tokens_details: details }: ReportedUsage, most: number) {
  const said =
    typeof details === 'object' && details !== null && 'reasoning_tokens' in details && details.reasoning_tokens;
  return typeof said === 'number' && Number.isSafeInteger(said) && said >= 0 && said <= most
    ? { reasoningTokens: said }
    : {};
}
