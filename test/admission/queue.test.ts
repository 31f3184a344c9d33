import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Item } from '#admission/admission.ts';
import { AdmissionQueue, QUEUE_LIMITS, type QueueLimits, type Waiting } from '#admission/queue.ts';
import { admit, change, extend, note, settle, type Who } from '../fakes/ledger-items.ts';

const LIMITS: QueueLimits = { batch: 40, admissions: 120, admissionsPerSubject: 50, refusals: 60 };
const waiting = (item: Item): Waiting => ({ item, resolve: () => {}, reject: () => {} });
const actorOf = (item: Item) => ('record' in item ? item.record.actor : '');
const who = (n: number): Who => ({ account: `usr_${n}`, session: `s${n}` });
const RANK: Record<Item['op'], number> = { settle: 0, close: 0, void: 0, extend: 1, admit: 2, record: 3, change: 4 };

/** A linear congruential generator: the same run for the same seed. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

describe('the admission queue', () => {
  const one = admit(who(0));
  /** Made once: the queue looks at op and actor only. */
  const make = (kind: number, subject: number): Item => {
    if (kind < 5) return { ...one, id: crypto.randomUUID(), record: { ...one.record, actor: `usr_${subject}` } };
    if (kind < 6) return extend(one, 512);
    if (kind < 7) return settle(one);
    return kind < 9 ? note() : change('x', {});
  };

  for (let seed = 1; seed <= 40; seed++) {
    it(`keeps its word whatever comes in whatever order (seed ${seed})`, () => {
      const roll = random(seed);
      const queue = new AdmissionQueue(LIMITS);
      const inside = new Set<Waiting>();
      const arrived: Waiting[] = [];
      const served: Waiting[] = [];
      for (let step = 0; step < 300; step++) {
        const burst = roll(4) === 0 ? roll(80) : roll(4);
        const subject = roll(3) === 0 ? 0 : roll(12);
        for (let n = 0; n < burst; n++) {
          const next = waiting(make(roll(10), subject));
          const own = [...inside].filter(({ item }) => item.op === next.item.op);
          const mine = own.filter(({ item }) => actorOf(item) === actorOf(next.item));
          const room =
            next.item.op === 'admit'
              ? own.length < LIMITS.admissions && mine.length < LIMITS.admissionsPerSubject
              : next.item.op !== 'record' || own.length < LIMITS.refusals;
          assert.equal(queue.push(next), room);
          if (!room) continue;
          inside.add(next);
          arrived.push(next);
        }
        assert.equal(queue.size, inside.size);
        if (roll(2) === 0) continue;
        const before = [...inside];
        const batch = queue.take();
        served.push(...batch);
        for (const one of batch) assert.ok(inside.delete(one), 'nothing comes out twice');
        assert.ok(batch.length <= LIMITS.batch);
        assert.ok(
          batch.length === LIMITS.batch || inside.size === 0 || isReserved(batch, inside),
          'no place stays empty',
        );
        const ranks = batch.map(({ item }) => RANK[item.op]);
        assert.deepEqual(ranks, [...ranks].sort(), 'settlements, admissions, refusals, changes');
        isFair(before, batch);
      }
      for (let batch = queue.take(); batch.length > 0; batch = queue.take()) served.push(...batch);
      assert.equal(served.length, arrived.length);
      assert.equal(queue.size, 0);
      // Of one sort and subject the order is that of arrival.
      const sort = ({ item }: Waiting) => (item.op === 'admit' ? item.record.actor : String(RANK[item.op]));
      assert.deepEqual(groups(served, sort), groups(arrived, sort));
    });
  }

  const groups = (list: readonly Waiting[], sort: (one: Waiting) => string) =>
    Object.fromEntries(
      Object.entries(Object.groupBy(list, sort))
        .map(([name, group]) => [name, group?.map(({ item }) => item.id)] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );

  /** Only refusals and changes above their share may stay behind in a batch that is not full. */
  const isReserved = (batch: readonly Waiting[], left: ReadonlySet<Waiting>): boolean =>
    [...left].every(({ item }) => item.op === 'change') &&
    batch.filter(({ item }) => item.op === 'change').length === 16;

  /** No subject gets a place more than one ahead of another that still waits. */
  function isFair(before: readonly Waiting[], batch: readonly Waiting[]): void {
    const served = new Map<string, number>();
    for (const { item } of batch) {
      if (item.op === 'admit') served.set(item.record.actor, (served.get(item.record.actor) ?? 0) + 1);
    }
    const most = Math.max(0, ...served.values());
    const taken = new Set(batch);
    for (const one of before) {
      if (one.item.op !== 'admit' || taken.has(one)) continue;
      assert.ok((served.get(one.item.record.actor) ?? 0) >= most - 1);
    }
  }

  it('gives every subject a turn before anyone’s second one, also over batches', () => {
    const queue = new AdmissionQueue(LIMITS);
    for (let n = 0; n < 50; n++) queue.push(waiting(admit(who(0))));
    for (let n = 1; n <= 60; n++) queue.push(waiting(admit(who(n))));
    const turn = (): string[] => queue.take().map(({ item }) => actorOf(item));
    const [first, second, third] = [turn(), turn(), turn()];
    assert.equal(new Set(first).size, 40);
    // 61 subjects: the rest of the first round comes before the second turn of the busy one.
    assert.equal(new Set(second.slice(0, 21)).size, 21);
    assert.ok(!second.slice(0, 21).includes('usr_0'));
    assert.equal(first.length + second.length + third.length, 110);
  });

  it('keeps places for changes and refusals beside a flood of admissions, and for admissions beside theirs', () => {
    const queue = new AdmissionQueue();
    for (let n = 0; n < 4000; n++) queue.push(waiting(admit(who(n % 100))));
    for (let n = 0; n < 2000; n++) queue.push(waiting(note()));
    for (let n = 0; n < 100; n++) queue.push(waiting(change('x', {})));
    const counts = Object.groupBy(queue.take(), ({ item }) => item.op);
    assert.deepEqual(
      [counts.admit?.length, counts.record?.length, counts.change?.length],
      [QUEUE_LIMITS.batch - 32, 16, 16],
    );
  });

  it('gives back everything but settlements when the log is down', () => {
    const queue = new AdmissionQueue();
    const items = [admit(who(1)), settle(one), note(), change('x', {}), admit(who(1)), admit(who(2))];
    for (const item of items) queue.push(waiting(item));
    assert.equal(queue.drainRefusable().length, 5);
    assert.deepEqual([queue.size, queue.settlements], [1, 1]);
    assert.equal(queue.push(waiting(admit(who(1)))), true);
    assert.equal(queue.take().length, 2);
  });
});
