import type { LlamaContextSequence } from 'node-llama-cpp';
import type { Generation } from './generation.llama.ts';
import { copyState, keptOf, mayLend } from './sequence-state.llama.ts';
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
    const length = heldOf(slot, generation);
    if (length > shared) [own, shared] = [slot, length];
  }
  if (own !== undefined) return own;
  const isBusy = (at: number) => slots[at] !== undefined && slots[at].generation !== null;
  const adjacent = slots.filter((slot, at) => slot.generation === null && (isBusy(at - 1) || isBusy(at + 1)));
  return (adjacent.length > 0 ? adjacent : free).toSorted((a, b) => lastUse(a) - lastUse(b))[0];
}

/** How much of its prompt a slot holds, and can hold without whatever comes after it. */
const heldOf = ({ sequence }: Slot, generation: Generation): number =>
  keptOf(sequence, generation.sharedWith(sequence.contextTokens));

const lastUse = ({ subject, since }: Slot): number => (subject === null ? 0 : since);

/** Where a prompt's first tokens lie, and how many. */
interface Beginning {
  readonly sequence: LlamaContextSequence;
  readonly length: number;
}

/**
 * A copy takes as long as the whole context is large, whatever it holds: a thousandth or so of what computing it would. So few
 * tokens are computed sooner.
 */
const leastCopy = ({ sequence }: Slot): number => Math.max(LEAST_PREFIX, sequence.contextSize / 64);

/** Approved prompts that this one begins with, whosever it is, and what the same user's other conversations hold of it. */
function beginningsOf(slot: Slot | null, generation: Generation, warm: readonly WarmPrefix[], slots: readonly Slot[]) {
  const approved = warm
    .filter(({ tokens }) => generation.beginsWith(tokens))
    .map(({ sequence, tokens }): Beginning => ({ sequence, length: tokens.length }));
  const own = slots
    .filter((other) => other !== slot && other.subject === generation.request.subject)
    .map(({ sequence }): Beginning => ({ sequence, length: generation.sharedWith(sequence.contextTokens) }));
  const isLent = ({ sequence, length }: Beginning) => mayLend(sequence, length);
  return { approved: approved.filter(isLent), own: own.filter(isLent) };
}

const longest = (beginnings: readonly Beginning[]): Beginning | null =>
  beginnings.reduce<Beginning | null>((best, one) => (one.length > (best?.length ?? 0) ? one : best), null);

/**
 * Makes a slot the caller's. Another user's state is wiped: neither residue nor timing may tell of it. What is left, or
 * put there, is an approved system prompt with which this prompt begins: to every stranger at the same cost. Of his own other
 * conversations, also of one that is being answered, whoever begins alike gets what they have in common.
 */
export async function handOver(
  slot: Slot,
  generation: Generation,
  warm: readonly WarmPrefix[],
  slots: readonly Slot[],
): Promise<void> {
  const isOwn = slot.subject === generation.request.subject;
  const held = isOwn ? heldOf(slot, generation) : 0;
  const { approved, own } = beginningsOf(slot, generation, warm, slots);
  const given = longest([
    ...approved.filter(({ length }) => length > held),
    ...own.filter(({ length }) => length >= held + leastCopy(slot)),
  ]);
  slot.subject = null;
  const isGiven = given !== null && (await copyState(given.sequence, slot.sequence, given.length));
  if (!isGiven && (!isOwn || given !== null)) await slot.sequence.clearHistory();
  slot.subject = generation.request.subject;
}

/** Whether it is better to wait: for a beginning that the same user's prompt, being computed now, has in common with this one. */
export function isUnderWay(slots: readonly Slot[], generation: Generation, warm: readonly WarmPrefix[]): boolean {
  const [first] = slots;
  // Of a state that lets go, what is being computed can't be copied when more than it has been.
  if (first === undefined || first.sequence.needsCheckpoints || generation.cancelled) return false;
  const comingFrom = ({ subject, generation: other }: Slot): number =>
    subject === generation.request.subject ? (other?.sharedBeginning(generation) ?? 0) : 0;
  const coming = Math.max(...slots.map(comingFrom));
  const there = beginningsOf(
    null,
    generation,
    warm,
    slots.filter((slot) => comingFrom(slot) === 0),
  );
  return coming >= (longest([...there.approved, ...there.own])?.length ?? 0) + leastCopy(first);
}
