import { describe, it } from 'node:test';
import { Ledger } from '#admission/admission.service.ts';
import type { Item, Verdict } from '#admission/admission.ts';
import { systemClock } from '#kernel/clock.ts';
import { silentLog } from '#kernel/log.ts';

const item = { op: 'record', id: 'x', record: {}, refusal: null } as unknown as Item;

describe('the ledger wakes up', () => {
  it('for an item that comes in any turn after the queue was found empty', async () => {
    const ledger = new Ledger({
      commit: async (items) => items.map(() => ({ verdict: 'recorded' }) as Verdict),
      clock: systemClock,
      log: silentLog,
      voidOf: (one) => one,
    });
    for (let turns = 0; turns < 16; turns++) {
      await ledger.submit(item);
      // Each turn is one step further from the answer of the batch to the end of its loop.
      for (let n = 0; n < turns; n++) await null;
      // Where nobody wakes up nothing is left to wait for, and the runner says so.
      await ledger.submit(item);
    }
    await ledger[Symbol.asyncDispose]();
  });
});
