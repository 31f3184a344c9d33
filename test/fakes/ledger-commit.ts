import type { CommitBatch } from '#admission/admission.service.ts';
import type { Item, Verdict } from '#admission/admission.ts';
import { CommitFailure } from '#admission/admission.ts';
import type { Clock } from '#kernel/clock.ts';

export interface SentBatch {
  readonly items: readonly Item[];
  /** Answers every item with the wanted verdict. */
  commit(): Promise<void>;
  fail(fate: 'rolled_back' | 'unknown', sqlstate: string | null): Promise<void>;
}

const WANTED = {
  admit: 'admitted',
  extend: 'extended',
  settle: 'settled',
  close: 'settled',
  void: 'settled',
  record: 'recorded',
  change: 'changed',
} as const;

export const wanted = (item: Item): Verdict => ({
  verdict: WANTED[item.op],
  code: null,
  position: null,
  quotas: [],
  breaches: [],
  tokens: 0,
  detail: item.id,
  reset: { day: 0, minute: 0 },
});

/** A log whose batches the test answers by hand. */
export class FakeCommit {
  readonly batches: SentBatch[] = [];
  inFlight = 0;
  mostInFlight = 0;
  readonly commit: CommitBatch = (items) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Verdict[]>();
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    const end = async (): Promise<void> => {
      this.inFlight--;
      await turns();
    };
    this.batches.push({
      items,
      commit: () => {
        resolve(items.map(wanted));
        return end();
      },
      fail: (fate, sqlstate) => {
        reject(new CommitFailure(fate, sqlstate, undefined));
        return end();
      },
    });
    return promise;
  };

  /** The batch that was sent last. */
  get last(): SentBatch {
    const last = this.batches.at(-1);
    if (last === undefined) throw new Error('nothing was sent');
    return last;
  }
}

/** Lets everything run that is ready to. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
}

export interface FakeClock extends Clock {
  pass(milliseconds: number): void;
}

export function fakeClock(at = 1_000_000): FakeClock {
  let now = at;
  return {
    now: () => now,
    monotonic: () => now,
    pass: (milliseconds) => {
      now += milliseconds;
    },
  };
}
