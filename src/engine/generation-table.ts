import type { Problem } from '#kernel/problem.ts';
import type { GenerationEvent, Making } from './engine.ts';
import { EventChannel } from './event-channel.ts';

export interface GenerationDeadlines {
  readonly firstTokenMs: number;
  readonly nextTokenMs: number;
  /** From our cancellation to the child's word that the slot is free. */
  readonly cancelMs: number;
}

interface Entry {
  readonly channel: EventChannel<GenerationEvent>;
  readonly leave: () => void;
  readonly making: Making | undefined;
  /** When something last came, or was asked; monotonic milliseconds. */
  at: number;
  waitingFor: keyof GenerationDeadlines;
}

/** The generations that one child is working on. Each holds a slot until the child says that it has ended. */
export class GenerationTable {
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;

  /** @param leave gives the slot back @param making goes with the `started` event */
  open(
    leave: () => void,
    now: number,
    making?: Making,
  ): { readonly id: number; readonly channel: EventChannel<GenerationEvent> } {
    const id = ++this.#lastId;
    const channel = new EventChannel<GenerationEvent>();
    this.#entries.set(id, { channel, leave, making, at: now, waitingFor: 'firstTokenMs' });
    return { id, channel };
  }

  /** Hands an event to the reader. Ids that are not (or no longer) known are late messages, not errors. */
  deliver(id: number, event: GenerationEvent, now: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { making } = entry;
    entry.channel.push(event.type === 'started' && making !== undefined ? { ...event, making } : event);
    if (event.type === 'started' || entry.waitingFor === 'cancelMs') return;
    entry.at = now;
    entry.waitingFor = 'nextTokenMs';
  }

  /** The slot is free. */
  end(id: number, failure?: Problem): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    if (failure === undefined) entry.channel.end();
    else entry.channel.fail(failure);
    entry.leave();
  }

  endAll(failure: Problem): void {
    for (const id of [...this.#entries.keys()]) this.end(id, failure);
  }

  /** The reader has left. @returns false when there is nothing (more) to cancel */
  abandon(id: number, now: number): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.waitingFor === 'cancelMs') return false;
    entry.at = now;
    entry.waitingFor = 'cancelMs';
    return true;
  }

  /** The deadline that a generation has missed, if any. */
  overdue(now: number, allowed: GenerationDeadlines): keyof GenerationDeadlines | null {
    for (const { at, waitingFor } of this.#entries.values()) {
      if (now - at > allowed[waitingFor]) return waitingFor;
    }
    return null;
  }
}
