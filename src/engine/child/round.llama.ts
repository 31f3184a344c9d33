import type { ChildMessage } from '#engine/llama/protocol.contract.ts';
import type { Batches, Portion } from './batch.llama.ts';
import type { Drafter } from './drafter.llama.ts';
import type { Generation } from './generation.llama.ts';
import type { Slot } from './slot.llama.ts';

export interface RoundTools {
  readonly batches: Pick<Batches, 'run'>;
  /** Null where nothing may be foreseen in this round. */
  readonly drafter: Drafter | null;
  /** Called once other threads compute: work that nobody need wait for. */
  readonly meanwhile: () => void;
  /** This one broke; the others go on. */
  readonly abandon: (slot: Slot, error: unknown) => Promise<void>;
}

interface Share {
  readonly slot: Slot;
  readonly generation: Generation;
  readonly portion: Portion;
}

/** What a round came to. */
export interface Outcome {
  /** The messages that end generations; those are not in here that go on, or broke. */
  readonly ends: ReadonlyMap<Slot, ChildMessage>;
  /** All of it was one batch: the event loop has turned, and the library has nothing left to do. */
  readonly isOneBatch: boolean;
}

/**
 * Takes every slot one token, or one portion of its prompt, further: all in one batch. @param budgets prompt tokens for each; who has
 * a prompt and no budget waits
 */
export async function takeRound(
  slots: readonly Slot[],
  budgets: ReadonlyMap<Slot, number>,
  tools: RoundTools,
): Promise<Outcome> {
  const ends = new Map<Slot, ChildMessage>();
  const shares: Share[] = [];
  const waits: Promise<unknown>[] = [];
  const attempt = async (slot: Slot, step: () => Promise<ChildMessage | null>) => {
    try {
      const end = await step();
      if (end !== null) ends.set(slot, end);
    } catch (error) {
      await tools.abandon(slot, error);
    }
  };
  const alone: Slot[] = [];
  for (const slot of slots) {
    const generation = slot.generation;
    if (generation === null) continue;
    if (generation.cancelled) ends.set(slot, { t: 'cancelled', id: generation.request.id });
    else if (generation.isSpent) ends.set(slot, generation.cut());
    else {
      const budget = budgets.get(slot) ?? 0;
      if (generation.prefillLeft > 0 && budget === 0) continue;
      try {
        const portion = generation.portion(budget);
        if (portion === null) alone.push(slot);
        // A grammar is compiled.
        else shares.push({ slot, generation, portion: portion instanceof Promise ? await portion : portion });
      } catch (error) {
        await tools.abandon(slot, error);
      }
    }
  }
  if (shares.length > 0) {
    for (const [at, chosen] of (await computed(shares, tools)).entries()) {
      const share = shares[at];
      if (share === undefined) break;
      try {
        const end = share.generation.take(chosen);
        if (end instanceof Promise) waits.push(attempt(share.slot, () => end));
        else if (end !== null) ends.set(share.slot, end);
      } catch (error) {
        await tools.abandon(share.slot, error);
      }
    }
  }
  // What was computed is weighed before anything else is.
  await Promise.all(waits.splice(0));
  for (const slot of alone) waits.push(attempt(slot, async () => slot.generation?.stepAlone(tools.drafter) ?? null));
  await Promise.all(waits);
  return { ends, isOneBatch: shares.length > 0 && alone.length === 0 };
}

/** What was chosen for each; where nothing could be computed, why not. */
async function computed(shares: readonly Share[], { batches, meanwhile }: RoundTools) {
  try {
    return await batches.run(
      shares.map(({ portion }) => portion),
      meanwhile,
    );
  } catch (error) {
    return shares.map(() => (error instanceof Error ? error : new Error(String(error))));
  }
}
