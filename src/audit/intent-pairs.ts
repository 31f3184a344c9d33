import type { SeqRange } from './drop.ts';
import type { Findings } from './log-check.ts';
import type { OpenIntent } from './log-source.ts';
import type { LogRecord } from './record.shared.ts';

interface Waiting {
  readonly seq: number;
  readonly request: string | null;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
}

/**
 * Each intent is followed by exactly one outcome that names it, or is still open. Holds the intents that wait only; a
 * gateway never has more than a few thousand under way.
 */
export class IntentPairs {
  readonly #findings: Findings;
  readonly #from: number;
  readonly #dropped: readonly SeqRange[];
  readonly #waiting = new Map<string, Waiting>();

  /** `dropped`: bodies that are gone; an intent or an outcome may have stood there. */
  constructor(findings: Findings, from: number, dropped: readonly SeqRange[] = []) {
    this.#findings = findings;
    this.#from = from;
    this.#dropped = dropped;
  }

  /** `eventId`: null where the source keeps none; then request ids pair what belongs together. */
  look(record: LogRecord, eventId: string | null): void {
    const { seq, kind, event, request_id: request, actor, action, resource, outcome } = record;
    const named = event['intent'];
    if (kind === 'intent') {
      const key = eventId ?? `request ${request}`;
      const double = this.#waiting.get(key);
      if (double !== undefined) this.#findings.add('pair', seq, `this intent repeats the one at ${double.seq}`);
      this.#waiting.set(key, { seq, request, actor, action, resource });
    } else if (kind === 'outcome' && typeof named === 'string' && outcome !== 'late_outcome') {
      const key = eventId === null ? `request ${request}` : named;
      const intent = this.#waiting.get(key);
      if (intent === undefined) {
        // Before the range that is looked at there are others, and so there were where bodies are gone.
        if (this.#from === 0 && !this.#dropped.some((range) => range.from < seq)) this.#orphan(seq, request);
        return;
      }
      this.#waiting.delete(key);
      if (
        intent.request !== request ||
        intent.actor !== actor ||
        intent.action !== action ||
        intent.resource !== resource
      ) {
        this.#findings.add('pair', seq, `the outcome is of another request than its intent at ${intent.seq}`);
      }
    }
  }

  #orphan(seq: number, request: string | null): void {
    for (const [key, intent] of this.#waiting) {
      if (intent.request !== request) continue;
      this.#waiting.delete(key);
      this.#findings.add('pair', intent.seq, `the column event_id is not what the outcome at ${seq} names`);
      return;
    }
    this.#findings.add('pair', seq, 'the outcome has no intent before it');
  }

  /** Intents without an outcome, and what the store says of them; those that it forgot are findings. */
  async end(
    stored: readonly OpenIntent[] | null,
    settledSince: (intent: { eventId: string; request: string | null }) => Promise<boolean>,
    size: number,
  ): Promise<number[]> {
    const open: number[] = [];
    const known = new Map(stored?.map(({ eventId, seq }) => [eventId, seq]));
    for (const [eventId, { seq, request }] of this.#waiting) {
      if (known.get(eventId) === seq) open.push(seq);
      else if (await settledSince({ eventId, request })) continue;
      else if (this.#dropped.some((range) => range.from > seq)) continue;
      else if (stored === null) open.push(seq);
      else this.#findings.addLost('pair', seq, 'the intent has no outcome and is not open either');
    }
    for (const [eventId, seq] of known) {
      if (seq >= this.#from && seq < size && !this.#waiting.has(eventId)) {
        this.#findings.add('pair', seq, 'an intent is kept as open and is not in the log, or has its outcome');
      }
    }
    return open;
  }
}
