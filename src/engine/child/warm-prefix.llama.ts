import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { PromptRenderer } from './prompt.llama.ts';

/** The state of an approved system prompt, in a sequence that no conversation ever runs on. */
export interface WarmPrefix {
  readonly tokens: readonly Token[];
  readonly sequence: LlamaContextSequence;
}

/** Computes an approved prompt once. @throws Error where it leaves no room for a question */
export async function warm(prompt: string, own: LlamaContextSequence, prompts: PromptRenderer): Promise<WarmPrefix> {
  const tokens = prompts.prefixOf(prompt);
  if (tokens.length >= own.contextSize - 1) throw new Error('an approved system prompt fills the context');
  await own.evaluateWithoutGeneratingNewTokens([...tokens]);
  return { tokens, sequence: own };
}
