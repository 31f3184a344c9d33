import type { GenerationRequest, Usage } from './engine.ts';
import { MOST_BYTES_PER_TOKEN, promptTexts } from './refusal.ts';

/** What a server says that it has counted, in OpenAI's words. */
export interface ReportedUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null | undefined } | null | undefined;
}

/** What we know of an answer without the tokenizer of its model. */
export interface OwnCount {
  readonly request: GenerationRequest;
  /** The most tokens that the prompt and the answer can have, see {@link promptBound} and {@link tokensBound}. */
  readonly prompt: number;
  readonly completion: number;
  /** Bytes of the answer. */
  readonly bytes: number;
  /** The longest answer that was asked for, in tokens. */
  readonly asked: number;
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

/** The most bytes that an answer of so many tokens can have. */
export const bytesBound = (tokens: number): number => tokens * MOST_BYTES_PER_TOKEN;

/** Templates that say more than the conversation (a date, a default system prompt); not charged, and no lie. */
const TEMPLATE_TOKENS = 512;
/** Tokens that end a turn or are not shown. */
const UNSEEN_TOKENS = 16;

/**
 * The server's count, held against ours. Within what can be it stands, never above the bound that was reserved; beyond
 * that ours stands, which is the most that there can be.
 */
export function countOf(reported: ReportedUsage | null, own: OwnCount): Count {
  const { prompt, completion, bytes, asked, request } = own;
  const ours: Usage = { promptTokens: prompt, completionTokens: completion, cachedTokens: 0 };
  if (reported === null) return { usage: ours, disagrees: null };
  const { prompt_tokens, completion_tokens } = reported;
  const cached = reported.prompt_tokens_details?.cached_tokens ?? 0;
  const promptBytes = promptTexts(request).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const disagrees =
    prompt_tokens > prompt + TEMPLATE_TOKENS || bytesBound(prompt_tokens) < promptBytes
      ? 'prompt'
      : completion_tokens > asked ||
          completion_tokens > completion + UNSEEN_TOKENS ||
          bytesBound(completion_tokens) < bytes
        ? 'completion'
        : cached > prompt_tokens
          ? 'cached'
          : null;
  if (disagrees === 'prompt' || disagrees === 'completion') return { usage: ours, disagrees };
  const promptTokens = Math.min(prompt, Math.max(1, prompt_tokens));
  const completionTokens = Math.min(completion, Math.max(completion > 0 ? 1 : 0, completion_tokens));
  return { usage: { promptTokens, completionTokens, cachedTokens: Math.min(promptTokens, cached) }, disagrees };
}
