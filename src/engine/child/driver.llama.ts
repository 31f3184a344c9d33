import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LlamaContextSequence } from 'node-llama-cpp';
import type { ChildMessage, DeltaItem } from '#engine/llama/protocol.contract.ts';
import { promptParam, Refusal } from '#engine/refusal.ts';
import type { Batches } from './batch.llama.ts';
import type { Drafter } from './drafter.llama.ts';
import type { Generation } from './generation.llama.ts';
import type { Outlet } from './outlet.ts';
import { filled, whole } from './prefill.ts';
import { takeRound } from './round.llama.ts';
import { handOver, isUnderWay, type Slot, slotFor } from './slot.llama.ts';
import type { WarmPrefix } from './warm-prefix.llama.ts';

export interface DriverOptions {
  /** In ascending order of their ids: llama.cpp joins only consecutive, ascending sequences. */
  readonly sequences: readonly LlamaContextSequence[];
  /** Approved system prompts, computed once. */
  readonly warm: readonly WarmPrefix[];
  /** Foresees tokens while one alone is answered; null: nothing does. */
  readonly drafter: Drafter | null;
  /** Prompt tokens per step while somebody generates. */
  readonly prefillChunk: number;
  /** Sequences per step; with more under way they take turns. */
  readonly maxBatchSize: number;
  /** How long prompts may hold up a step in which somebody generates; never longer than it takes without them. */
  readonly maxWaitMs: number;
  /** Prompt tokens per step while nobody does. */
  readonly batchSize: number;
  readonly batches: Pick<Batches, 'run'>;
  readonly outlet: Outlet<ChildMessage>;
  readonly now: () => number;
  /** For our own diagnosis only. */
  readonly report: (error: unknown) => void;
}

/** A step should not take longer: after an abort the slot must be free within a second, however slow the machine. */
const STEP_TARGET_MS = 700;
const LEAST_CHUNK = 16;

/**
 * Runs all conversations in lock-step: one round takes every sequence one token (or one portion of its prompt) further,
 * all in one batch. Free-running sequences would leave one out of every batch (engine.md, section 3.2).
 */
export class Driver {
  readonly #options: DriverOptions;
  readonly #slots: Slot[];
  readonly #arrived: Generation[] = [];
  #running = false;
  /** Set while everybody waits for credit. */
  #wake: (() => void) | null = null;
  #arrivals = 0;
  #turns = 0;
  /** Measured, prompt tokens per millisecond. */
  #prefillSpeed: number | null = null;
  /** Measured, milliseconds of a step that takes in no prompt. */
  #plainStep: number | null = null;
  steps = 0;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#slots = options.sequences.map((sequence) => ({
      sequence,
      subject: null,
      generation: null,
      since: 0,
      stepped: 0,
    }));
  }

  add(generation: Generation): void {
    this.#arrived.push(generation);
    this.#wake?.();
    if (this.#running) return;
    this.#running = true;
    this.#run().then(
      () => {},
      // Nothing below lets an exception through; if one comes, the state is unknown and the parent must start anew.
      (error: unknown) => {
        this.#options.report(error);
        process.exit(70);
      },
    );
  }

  cancel(id: number): void {
    const generation = this.#find(id);
    if (generation) generation.cancelled = true;
    this.#wake?.();
  }

  /** More tokens of this generation are paid for. */
  extend(id: number, total: number, final: boolean): void {
    this.#find(id)?.extend(total, final);
    this.#wake?.();
  }

  #find(id: number): Generation | null | undefined {
    const isIt = (generation: Generation | null) => generation?.request.id === id;
    return this.#arrived.find(isIt) ?? this.#slots.find((slot) => isIt(slot.generation))?.generation;
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#arrived.length > 0) await this.#settleArrivals();
      const taken = this.#slots.filter((slot) => slot.generation !== null);
      if (taken.length === 0) break;
      const active = this.#inTurn(taken.filter(({ generation }) => generation?.cancelled || generation?.mayGoOn));
      if (active.length === 0) {
        this.#options.outlet.flush();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
        continue;
      }
      // With others in the batch a place in it is better used by them.
      const drafter = taken.length === 1 ? this.#options.drafter : null;
      await this.#round(active, drafter);
      this.steps++;
    }
    this.#running = false;
  }

  async #settleArrivals(): Promise<void> {
    const { warm, outlet } = this.#options;
    outlet.flush();
    const waiting: Generation[] = [];
    for (let generation = this.#arrived.shift(); generation; generation = this.#arrived.shift()) {
      if (isUnderWay(this.#slots, generation, warm)) {
        waiting.push(generation);
        continue;
      }
      const slot = slotFor(this.#slots, generation);
      if (slot === undefined) {
        this.#fail(generation, new Error('more generations than sequences'));
        continue;
      }
      slot.generation = generation;
      slot.since = ++this.#arrivals;
      if (generation.cancelled) continue;
      try {
        await handOver(slot, generation, warm, this.#slots);
        await generation.begin(slot.sequence);
      } catch (error) {
        await this.#abandon(slot, error);
      }
    }
    // Nobody overtakes them: what they wait for is computed before whatever comes after it.
    this.#arrived.unshift(...waiting);
  }

  /** As many as a batch may have, those first that have waited longest; still in the order of the sequences. */
  #inTurn(ready: readonly Slot[]): readonly Slot[] {
    const { maxBatchSize } = this.#options;
    if (ready.length <= maxBatchSize) {
      for (const slot of ready) slot.stepped = ++this.#turns;
      return ready;
    }
    const chosen = new Set(ready.toSorted((a, b) => a.stepped - b.stepped).slice(0, maxBatchSize));
    for (const slot of chosen) slot.stepped = ++this.#turns;
    return ready.filter((slot) => chosen.has(slot));
  }

  async #round(active: readonly Slot[], drafter: Drafter | null): Promise<void> {
    const { batches, outlet, now } = this.#options;
    const generating = active.some(({ generation }) => generation?.prefillLeft === 0);
    const budgets = this.#prefillBudgets(active, generating);
    const began = now();
    const { ends, isOneBatch } = await takeRound(active, budgets, {
      batches,
      drafter,
      meanwhile: outlet.flush,
      abandon: (slot, error) => this.#abandon(slot, error),
    });
    this.#measure(
      budgets.values().reduce((sum, budget) => sum + budget, 0),
      generating,
      now() - began,
    );
    this.#deliver(active, ends);
    // Lets messages in (cancellations, newcomers) and the library finish its batch, where that has not been done.
    if (!isOneBatch) await nextTurn();
  }

  /** First come, first served: prompts one after another reach their first token sooner on average than all at once. */
  #prefillBudgets(active: readonly Slot[], generating: boolean): ReadonlyMap<Slot, number> {
    const waiting = active.filter(
      ({ generation }) => generation && generation.prefillLeft > 0 && !generation.cancelled,
    );
    if (waiting.length === 0) return NOBODY;
    const { prefillChunk, batchSize } = this.#options;
    const most = Math.min(generating ? prefillChunk : batchSize, batchSize - active.length);
    const affordable = this.#prefillSpeed === null ? prefillChunk : this.#prefillSpeed * this.#prefillTime(generating);
    const room = Math.max(LEAST_CHUNK, Math.min(most, Math.floor(affordable)));
    const prompts = waiting
      .toSorted((a, b) => a.since - b.since)
      .map((slot) => [slot, slot.generation?.prefillLeft ?? 0] as const);
    return new Map(generating ? filled(prompts, room) : whole(prompts, room));
  }

  /** No longer than the step takes anyway: then nobody's gap between two tokens is more than twice what it was. */
  #prefillTime(generating: boolean): number {
    const { maxWaitMs } = this.#options;
    return generating ? Math.min(maxWaitMs, this.#plainStep ?? maxWaitMs) : STEP_TARGET_MS;
  }

  #measure(prefilled: number, generating: boolean, milliseconds: number): void {
    if (prefilled === 0) {
      if (generating) this.#plainStep = smooth(this.#plainStep, milliseconds);
      return;
    }
    // What the prompts took of it; where that can't be told apart, at least an eighth.
    const plain = generating ? (this.#plainStep ?? 0) : 0;
    const portion = Math.max(milliseconds - plain, milliseconds / 8, 0.1);
    this.#prefillSpeed = smooth(this.#prefillSpeed, prefilled / portion);
  }

  /** One message with everybody's text, then the ends; the order per generation is what the reader relies on. */
  #deliver(active: readonly Slot[], ends: ReadonlyMap<Slot, ChildMessage>): void {
    const { outlet } = this.#options;
    const items: DeltaItem[] = [];
    for (const slot of active) {
      const delta = slot.generation?.takeDelta(ends.get(slot)?.t === 'finished');
      if (delta) items.push(delta);
    }
    if (items.length > 0) outlet.hold({ t: 'deltas', items });
    for (const [slot, end] of ends) {
      slot.generation?.release();
      slot.generation = null;
      outlet.send(end);
    }
  }

  /** A generation that broke: its sequence is wiped, the others go on. */
  async #abandon(slot: Slot, error: unknown): Promise<void> {
    const generation = slot.generation;
    if (generation === null) return;
    generation.release();
    slot.generation = null;
    slot.subject = null;
    await slot.sequence.clearHistory();
    this.#fail(generation, error);
  }

  #fail(generation: Generation, error: unknown): void {
    if (!(error instanceof Refusal)) this.#options.report(error);
    const { code, message, param } = error instanceof Refusal ? error : ENGINE_FAILED;
    this.#options.outlet.send({
      t: 'failed',
      id: generation.request.id,
      code,
      param: param ?? promptParam(generation.request),
      message,
    });
  }
}

const NOBODY: ReadonlyMap<Slot, number> = new Map();

const ENGINE_FAILED = {
  code: 'engine_failed',
  message: 'The engine could not finish this answer.',
  param: undefined,
} as const;

const smooth = (known: number | null, found: number): number => (known === null ? found : known * 0.7 + found * 0.3);
