import type { LlamaContextSequence } from 'node-llama-cpp';
import type { Generation } from './generation.llama.ts';
import type { WarmPrefix } from './warm-prefix.llama.ts';

/** One sequence, and whose conversation it holds. */
export interface Slot {
  readonly sequence: LlamaContextSequence;
  /** Null while the state is nobody's. */
  subject: string | null;
  generation: Generation | null;
  /** Order of arrival; 0 where nobody ever came. */
  since: number;
  /** When it was last part of a step, in turns of all. */
  stepped: number;
}

/** A shared beginning shorter than this is not worth a slot that lies apart. */
const LEAST_PREFIX = 32;

/**
 * Where this user's own prefix lies, that slot. Else beside those that are busy, since llama.cpp joins only adjacent
 * sequences in one batch, and of those the one that was left longest ago, the lowest first: so conversations that rest
 * stay where they are as long as possible.
 */
export function slotFor(slots: readonly Slot[], generation: Generation): Slot | undefined {
  const free = slots.filter((slot) => slot.generation === null);
  let own: Slot | undefined;
  let shared = LEAST_PREFIX - 1;
  for (const slot of free) {
    if (slot.subject !== generation.request.subject) continue;
    const length = generation.sharedWith(slot.sequence.contextTokens);
    if (length > shared) [own, shared] = [slot, length];
  }
  if (own !== undefined) return own;
  const isBusy = (at: number) => slots[at] !== undefined && slots[at].generation !== null;
  const adjacent = slots.filter((slot, at) => slot.generation === null && (isBusy(at - 1) || isBusy(at + 1)));
  return (adjacent.length > 0 ? adjacent : free).toSorted((a, b) => lastUse(a) - lastUse(b))[0];
}

const lastUse = ({ subject, since }: Slot): number => (subject === null ? 0 : since);

/**
 * Makes a slot the caller's. Another user's state is wiped: neither residue nor timing may tell of it. What is left, or
 * put there, is an approved system prompt with which this prompt begins: to every stranger at the same cost.
 */
export async function handOver(slot: Slot, generation: Generation, warm: readonly WarmPrefix[]): Promise<void> {
  const isOwn = slot.subject === generation.request.subject;
  const held = isOwn ? generation.sharedWith(slot.sequence.contextTokens) : 0;
  const prefix = warm
    .filter(({ tokens }) => tokens.length > held && generation.beginsWith(tokens))
    .reduce<WarmPrefix | null>((best, one) => (one.tokens.length > (best?.tokens.length ?? 0) ? one : best), null);
  slot.subject = null;
  const isGiven = prefix !== null && (await prefix.giveTo(slot.sequence));
  if (!isGiven && (!isOwn || prefix !== null)) await slot.sequence.clearHistory();
  slot.subject = generation.request.subject;
}
