import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { PromptRenderer } from './prompt.llama.ts';

/** The state of an approved system prompt, in a sequence that no conversation ever runs on. */
export interface WarmPrefix {
  readonly tokens: readonly Token[];
  readonly sequence: LlamaContextSequence;
}

/**
 * The library copies states for its own use only (3.22.1, which package.json pins exactly). What it has to say of a copy
 * is checked here, and a test holds that strangers get one.
 */
interface Copying {
  _copyStateFromOtherSequence?(from: LlamaContextSequence, upToTokenIndex: number): Promise<boolean | undefined>;
}

/**
 * Puts the first `length` tokens of what one sequence holds in place of all that another one does, at the same cost whatever
 * that was. Whoever calls this has made sure that the one's tokens may be the other's.
 *
 * @returns false where it could not; what the other then holds is to be wiped
 */
export async function copyState(
  from: LlamaContextSequence,
  to: LlamaContextSequence,
  length: number,
): Promise<boolean> {
  // A state that slides or is rewound by checkpoints is not the sequence of its tokens: computed anew instead.
  if (from.needsCheckpoints) return false;
  const copied = await (to as Copying)._copyStateFromOtherSequence?.(from, length);
  return copied === true && to.nextTokenIndex === length;
}

/** Computes an approved prompt once. @throws Error where it leaves no room for a question */
export async function warm(prompt: string, own: LlamaContextSequence, prompts: PromptRenderer): Promise<WarmPrefix> {
  const tokens = prompts.prefixOf(prompt);
  if (tokens.length >= own.contextSize - 1) throw new Error('an approved system prompt fills the context');
  await own.evaluateWithoutGeneratingNewTokens([...tokens]);
  return { tokens, sequence: own };
}
