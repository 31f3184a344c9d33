import type { EmbeddingEvent, GenerationEvent, Making, TokenCredit } from '#engine/engine.ts';
import { EventChannel } from '#engine/event-channel.ts';
import { Standstill } from '#engine/standstill.ts';
import type { Problem } from '#kernel/problem.ts';

export interface GenerationDeadlines {
  readonly firstTokenMs: number;
  readonly nextTokenMs: number;
  /** From our cancellation to the child's word that the slot is free. */
  readonly cancelMs: number;
}

/** What is told to the child while it makes an answer. */
export type CreditNews =
  | { readonly t: 'credit'; readonly id: number; readonly total: number; readonly final: boolean }
  | { readonly t: 'cancel'; readonly id: number };

/** What an answer may cost, and how long it may become. */
export interface GenerationCost {
  readonly credit: TokenCredit;
  readonly most: number;
  /** To the child that makes it. */
  readonly send: (news: CreditNews) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** What comes of either sort of work. */
export type WorkEvent = GenerationEvent | EmbeddingEvent;

/** A prompt's length, or that of several texts and of the longest of them. */
export interface Counted {
  readonly promptTokens: number;
  readonly longest?: number | undefined;
}

interface Entry extends GenerationCost {
  readonly channel: EventChannel<WorkEvent>;
  readonly leave: () => void;
  readonly making: Making | undefined;
  readonly unwatch: () => void;
  /** Tokens of prompt and answer so far. */
  tokens: number;
  /** When something last came, or was asked; monotonic milliseconds. */
  at: number;
  waitingFor: keyof GenerationDeadlines;
}

/** The generations that one child is working on. Each holds a slot until the child says that it has ended. */
export class GenerationTable {
  readonly #entries = new Map<number, Entry>();
  readonly #standstill = new Standstill();
  #lastId = 0;

  /** @param leave gives the slot back @param making goes with the `started` event */
  open(
    leave: () => void,
    now: number,
    cost: GenerationCost,
    making?: Making,
  ): { readonly id: number; readonly channel: EventChannel<WorkEvent> } {
    const id = ++this.#lastId;
    const channel = new EventChannel<WorkEvent>();
    const unwatch = cost.credit.watch(() => this.#pay(id));
    this.#entries.set(id, { ...cost, channel, leave, making, unwatch, tokens: 0, at: now, waitingFor: 'firstTokenMs' });
    return { id, channel };
  }

  /** Hands an event to the reader. Ids that are not (or no longer) known are late messages, not errors. */
  deliver(id: number, event: WorkEvent, now: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { making } = entry;
    entry.channel.push(event.type === 'started' && making !== undefined ? { ...event, making } : event);
    if (event.type === 'delta') {
      entry.tokens += event.tokens;
      entry.credit.reach(entry.tokens);
    }
    if (event.type === 'started' || entry.waitingFor === 'cancelMs') return;
    entry.at = now;
    entry.waitingFor = 'nextTokenMs';
  }

  /** The prompt is counted: `started` goes to the reader once it is paid for. */
  begin(id: number, { promptTokens, longest }: Counted, contextSize: number, now: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.tokens = promptTokens;
    const of = longest === undefined ? {} : { longest };
    const started = () => this.deliver(id, { type: 'started', promptTokens, ...of }, now);
    const room = longest === undefined ? contextSize - promptTokens : 0;
    const paid = entry.credit.begin(promptTokens, Math.min(entry.most, room), false);
    if (paid === null) started();
    else paid.then(started, (why: unknown) => this.#refuse(id, why));
  }

  /** More is paid for, or can't be. */
  #pay(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { total, final, failure } = entry.credit;
    if (failure === null) entry.send({ t: 'credit', id, total, final });
    else this.#refuse(id, failure);
  }

  #refuse(id: number, why: unknown): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.channel.fail(why);
    if (this.abandon(id, entry.now())) entry.send({ t: 'cancel', id });
  }

  /** The child waits for credit: what it has not shown yet is used all the same. */
  starved(id: number): void {
    const entry = this.#entries.get(id);
    entry?.credit.reach(entry.credit.total);
  }

  /** The slot is free. */
  end(id: number, failure?: Problem): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.unwatch();
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

  /** Vectors are made one after another: whoever waits for his turn waits for the others, not for a child that is stuck. */
  tookTurn(now: number): void {
    for (const entry of this.#entries.values()) if (entry.waitingFor !== 'cancelMs') entry.at = now;
  }

  /** The deadline that a generation has missed, if any. To be asked every second at least. */
  overdue(now: number, allowed: GenerationDeadlines): keyof GenerationDeadlines | null {
    const lost = this.#standstill.look(now);
    for (const entry of this.#entries.values()) {
      entry.at = Math.min(now, entry.at + lost);
      if (now - entry.at > allowed[entry.waitingFor]) return entry.waitingFor;
    }
    return null;
  }
}
