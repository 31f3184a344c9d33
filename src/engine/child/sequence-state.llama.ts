import type { LlamaContextSequence, Token } from 'node-llama-cpp';

/**
 * What a sequence has computed, and how much of that can be used again. Most models keep every token, and any end of them can be
 * taken back. Others do not: those that look no further back than a window let go of what lies before it, and those
 * with one running state, or with both, know their last token alone.
 */

/** How far back a token looks; where the file does not say, there is no telling. */
const windowOf = ({ model }: LlamaContextSequence): number => model.fileInsights.swaSize ?? Number.POSITIVE_INFINITY;

/** Whether it has let go of something, or will: it is then not what its tokens say. */
const letsGo = (sequence: LlamaContextSequence): boolean =>
  sequence.needsCheckpoints || sequence.stateCellsStartIndex > 0;

/** Whether the ends of its tokens can be taken back one by one. */
export const isRewindable = ({ model }: LlamaContextSequence): boolean =>
  !model.fileInsights.isRecurrent && !model.fileInsights.isHybrid;

/**
 * How many of its first `shared` tokens it holds when the others are taken back. The library (3.22.1) only asks that the first token
 * taken back is not the oldest one there; but of what is computed next, all that its window reaches must be there too.
 */
export function keptOf(sequence: LlamaContextSequence, shared: number): number {
  if (shared >= sequence.nextTokenIndex) return sequence.nextTokenIndex;
  const oldest = sequence.stateCellsStartIndex;
  if (oldest <= Math.max(0, shared - windowOf(sequence))) return shared;
  // The library takes to the checkpoint only what is not there itself.
  const remembered = sequence.lastCheckpointIndex + 1;
  return remembered > 1 && remembered <= Math.min(shared, oldest) ? remembered : 0;
}

/** So many tokens of a prompt's end are another's in the next one: what stands before an answer, or the same prompt's last token. */
const TAIL = 16;
/** A prompt this short is computed anew as quickly. */
const LEAST_PROMPT = 128;
/** How a sequence is asked for: it remembers one state, where it is told to. Each may be as large as all else that it holds. */
export const REMEMBERING = { checkpoints: { max: 1, interval: false } } as const;

/** Where in a prompt a state that lets go is to be remembered, for the next prompt of this conversation; -1: nowhere. */
export const markOf = (sequence: LlamaContextSequence, promptLength: number): number =>
  sequence.needsCheckpoints && promptLength >= LEAST_PROMPT ? promptLength - TAIL : -1;

/** Never rejects: what can't be remembered is computed anew. */
export async function remember(sequence: LlamaContextSequence): Promise<null> {
  await sequence.takeCheckpoint().catch(() => undefined);
  return null;
}

/** How many of these tokens a sequence begins with. */
export function sharedLength(state: readonly Token[], tokens: readonly Token[]): number {
  let length = 0;
  while (length < state.length && state[length] === tokens[length]) length++;
  return length;
}

/** Takes back whatever is not the beginning of these tokens, and what can't be held without it. */
export async function keepBeginning(sequence: LlamaContextSequence, tokens: readonly Token[]): Promise<void> {
  const kept = keptOf(sequence, sharedLength(sequence.contextTokens, tokens));
  await sequence.adaptStateToTokens(tokens.slice(0, kept), false);
}

/** Whether another sequence can be given its first `length` tokens: all of them, or a part that is whole in itself. */
export const mayLend = (sequence: LlamaContextSequence, length: number): boolean =>
  length === sequence.nextTokenIndex || !letsGo(sequence);

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
  if (!mayLend(from, length)) return false;
  const copied = await (to as Copying)._copyStateFromOtherSequence?.(from, length);
  return copied === true && to.nextTokenIndex === length;
}
