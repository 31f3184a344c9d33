import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { PromptRenderer } from './prompt.llama.ts';

/** The state of an approved system prompt, in a sequence that no conversation ever runs on. */
export interface WarmPrefix {
  readonly tokens: readonly Token[];
  /**
   * Puts it in place of all that a sequence holds, at the same cost whatever that was.
   *
   * @returns false where it could not; what the sequence then holds is to be wiped
   */
  giveTo(sequence: LlamaContextSequence): Promise<boolean>;
}

/**
 * The library copies states for its own use only (3.22.1, which package.json pins exactly). What it has to say of a copy
 * is checked here, and a test holds that strangers get one.
 */
interface Copying {
  _copyStateFromOtherSequence?(from: LlamaContextSequence, upToTokenIndex: number): Promise<boolean | undefined>;
}

/** Computes an approved prompt once. @throws Error where it leaves no room for a question */
export async function warm(prompt: string, own: LlamaContextSequence, prompts: PromptRenderer): Promise<WarmPrefix> {
  const tokens = prompts.prefixOf(prompt);
  if (tokens.length >= own.contextSize - 1) throw new Error('an approved system prompt fills the context');
  await own.evaluateWithoutGeneratingNewTokens([...tokens]);
  return {
    tokens,
    async giveTo(sequence) {
      // A state that slides or is rewound by checkpoints is not the sequence of its tokens: computed anew instead.
      if (own.needsCheckpoints) return false;
      const copied = await (sequence as Copying)._copyStateFromOtherSequence?.(own, tokens.length);
      return copied === true && sequence.nextTokenIndex === tokens.length;
    },
  };
}
