import { Problem } from '#kernel/problem.ts';
import type { EmbeddingRequest, GenerationRequest, Usage } from './engine.ts';
import { promptTexts } from './refusal.ts';

/** What a server says that it has counted, in OpenAI's words. */
export interface ReportedUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null | undefined } | null | undefined;
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

const NO_USAGE: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };

/** The server's count, held against ours: never more than can be, and something for a text that is there. */
export function usageOf(usage: ReportedUsage | null, promptMost: number, completionMost: number): Usage {
  if (usage === null) return { ...NO_USAGE, promptTokens: promptMost, completionTokens: completionMost };
  const promptTokens = Math.min(promptMost, Math.max(1, usage.prompt_tokens));
  return {
    promptTokens,
    completionTokens: Math.min(completionMost, Math.max(completionMost > 0 ? 1 : 0, usage.completion_tokens)),
    cachedTokens: Math.min(promptTokens, usage.prompt_tokens_details?.cached_tokens ?? 0),
  };
}
