/** What a model is asked before anybody asks it. */
export interface WarmUp {
  readonly content: string;
  readonly maxTokens: number;
}

/** Words of it at most: several times what a step of one conversation takes, less than a batch. */
const WORDS = 200;
/** The first comes of the prompt; those after it are computed by themselves, by other kernels. */
const TOKENS = 3;

/**
 * A file on trial makes one token: what is wrong with its weights shows there or never. On a GPU a prompt and some tokens are made
 * before each model is ready as well: what has to be compiled for that is compiled within the time that a load may take, and the
 * first user neither waits for it nor finds his answer broken off by a deadline. Null: nothing.
 */
export function warmUpFor(load: {
  readonly probe: boolean;
  readonly backend: string;
  readonly contextSize: number;
}): WarmUp | null {
  if (load.backend === 'cpu') return load.probe ? { content: 'x', maxTokens: 1 } : null;
  const words = Math.max(1, Math.min(WORDS, Math.floor(load.contextSize / 8)));
  return { content: Array.from({ length: words }, () => 'x').join(' '), maxTokens: TOKENS };
}
