import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { Ledger } from '#admission/admission.service.ts';
import type { Item } from '#admission/admission.ts';
import { voidOf } from '#admission/gate.service.ts';
import { QUEUE_LIMITS, type QueueLimits } from '#admission/queue.ts';
import { silentLog } from '#kernel/log.ts';
import { Problem } from '#kernel/problem.ts';
import { type FakeClock, FakeCommit, fakeClock, turns } from '../fakes/ledger-commit.ts';
import { admit, change, note, settle, type Who } from '../fakes/ledger-items.ts';

const who = (n: number): Who => ({ account: `usr_${n}`, session: `s${n}` });
const ops = (items: readonly Item[]): string[] => items.map(({ op }) => op);
const problem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;

describe('the ledger', () => {
  let log: FakeCommit;
  let clock: FakeClock;
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    log = new FakeCommit();
    clock = fakeClock();
  });
  afterEach(() => mock.timers.reset());

  const open = (limits: Partial<QueueLimits> = {}): Ledger =>
    new Ledger({ commit: log.commit, clock, log: silentLog, voidOf, limits: { ...QUEUE_LIMITS, ...limits } });
  /** Half a second and a bit: when the ledger tries again. */
  const later = async (): Promise<void> => {
    clock.pass(501);
    mock.timers.tick(501);
    await turns();
  };

  it('has one batch in flight; what arrives meanwhile fills the next one', async () => {
    const ledger = open();
    const first = ledger.submit(admit(who(1)));
    await turns();
    const rest = Array.from({ length: 300 }, (_, n) => ledger.submit(admit(who(n))));
    await turns();
    assert.equal(log.batches.length, 1);
    await log.last.commit();
    assert.equal((await first).verdict, 'admitted');
    assert.deepEqual([log.batches.length, log.last.items.length], [2, 256]);
    await log.last.commit();
    assert.equal(log.last.items.length, 44);
    await log.last.commit();
    assert.equal((await Promise.all(rest)).length, 300);
    assert.equal(log.mostInFlight, 1);
    assert.deepEqual(ledger.state(), { available: true, waiting: 0, unsettled: 0, batches: 3, committed: 301 });
  });

  it('takes what arrives in one turn in one batch, and gives each its own verdict', async () => {
    const ledger = open();
    const items = [admit(who(1)), note(), change('x', {}), settle(admit(who(2)))];
    const answers = items.map((item) => ledger.submit(item));
    await turns();
    assert.deepEqual(ops(log.last.items), ['settle', 'admit', 'record', 'change']);
    await log.last.commit();
    assert.deepEqual(
      (await Promise.all(answers)).map(({ detail }) => detail),
      items.map(({ id }) => id),
    );
  });

  it('lets a burst of 1,000 of one subject wait behind itself only', async () => {
    const ledger = open();
    const burst = Array.from({ length: 1000 }, () => ledger.submit(admit(who(0))));
    await turns();
    const other = admit(who(1));
    const answer = ledger.submit(other);
    await log.last.commit();
    assert.ok(log.last.items.includes(other), 'in the very next batch');
    await log.last.commit();
    assert.equal((await answer).verdict, 'admitted');
    for (let rounds = 0; log.inFlight > 0 && rounds < 10; rounds++) await log.last.commit();
    assert.equal((await Promise.all(burst)).length, 1000);
  });

  it('refuses what there is no room for, but never a settlement or a change', async () => {
    const ledger = open({ admissions: 5, admissionsPerSubject: 3, refusals: 2 });
    const submitted = [
      ...Array.from({ length: 4 }, () => ledger.submit(admit(who(0)))),
      ...Array.from({ length: 3 }, (_, n) => ledger.submit(admit(who(n + 1)))),
      ...Array.from({ length: 3 }, () => ledger.submit(note())),
      ...Array.from({ length: 20 }, () => ledger.submit(settle(admit(who(9))))),
      ...Array.from({ length: 20 }, () => ledger.submit(change('x', {}))),
    ];
    const results = Promise.allSettled(submitted);
    await turns();
    while (log.inFlight > 0) await log.last.commit();
    const refused = (await results).flatMap((result, index) => (result.status === 'rejected' ? [index] : []));
    assert.deepEqual(refused, [3, 6, 9]);
    await assert.rejects(submitted[3] ?? assert.fail(), problem('overloaded'));
  });

  it('keeps outcomes over failures, refuses everything else at once, and recovers', async () => {
    const ledger = open();
    const outcome = settle(admit(who(1)));
    const [kept, lost] = [ledger.submit(outcome), ledger.submit(admit(who(2)))];
    await turns();
    const waiting = ledger.submit(admit(who(3)));
    const failures = [kept, lost, waiting].map((answer) => assert.rejects(answer, problem('audit_unavailable')));
    await log.last.fail('rolled_back', '57P03');
    await Promise.all(failures);
    assert.deepEqual(ledger.state(), { available: false, waiting: 1, unsettled: 1, batches: 0, committed: 0 });
    for (const item of [admit(who(1)), note(), change('x', {})]) {
      await assert.rejects(ledger.submit(item), problem('audit_unavailable'));
    }
    const during = ledger.submit(settle(admit(who(4))));
    await turns();
    assert.equal(log.batches.length, 1, 'while down nothing is sent');

    await later();
    assert.deepEqual(log.last.items[0]?.id, outcome.id, 'a retry keeps its id');
    assert.equal(log.last.items.length, 2);
    const again = assert.rejects(during, problem('audit_unavailable'));
    await log.last.fail('rolled_back', '53100');
    await again;
    await later();
    await log.last.commit();
    assert.deepEqual(ledger.state(), { available: true, waiting: 0, unsettled: 0, batches: 1, committed: 2 });
    const admitted = ledger.submit(admit(who(2)));
    await turns();
    await log.last.commit();
    assert.equal((await admitted).verdict, 'admitted');
  });

  it('repeats a batch whose fate is unknown once, then voids its admissions', async () => {
    const seconds: [fate: 'rolled_back' | 'unknown', sqlstate: string | null][] = [
      ['unknown', null],
      ['rolled_back', '08001'],
      ['rolled_back', '55P03'],
    ];
    for (const second of seconds) {
      log.batches.length = 0;
      clock.pass(10_000);
      const ledger = open();
      const [intent, outcome] = [admit(who(1)), settle(admit(who(2)))];
      const failed = [intent, outcome, note(), change('x', {})].map((item) =>
        assert.rejects(ledger.submit(item), problem('audit_unavailable')),
      );
      await turns();
      const [first] = log.batches;
      await log.last.fail('unknown', null);
      assert.deepEqual(log.last.items, first?.items, 'the same ids');
      assert.equal(log.batches.length, 2);
      await log.last.fail(...second);
      await Promise.all(failed);
      await later();
      assert.deepEqual(new Set(ops(log.last.items)), new Set(['void', 'settle']));
      const taken = log.last.items.find(({ op }) => op === 'void');
      assert.ok(taken?.op === 'void' && taken.intent === intent.id, `after ${second}`);
      assert.deepEqual([taken.used, taken.ran], [0, false]);
      await log.last.commit();
      assert.equal(ledger.state().unsettled, 0);
    }
  });

  it('does not void what was rolled back for certain', async () => {
    const ledger = open();
    const failed = assert.rejects(ledger.submit(admit(who(1))), problem('audit_unavailable'));
    await turns();
    await log.last.fail('rolled_back', '55P03');
    await failed;
    await later();
    assert.deepEqual([log.batches.length, ledger.state().waiting], [1, 0]);
  });

  it('takes FATAL of a server that goes down for an unknown fate', async () => {
    const ledger = open();
    const failed = assert.rejects(ledger.submit(admit(who(1))), problem('audit_unavailable'));
    await turns();
    await log.last.fail('unknown', '57P01');
    await log.last.fail('rolled_back', '57P03');
    await failed;
    await later();
    assert.deepEqual(ops(log.last.items), ['void']);
  });

  it('halves a poisoned batch until the culprit stands alone', async () => {
    const ledger = open();
    const items = Array.from({ length: 9 }, () => admit(who(1)));
    const results = Promise.allSettled(items.map((item) => ledger.submit(item)));
    await turns();
    const culprit = items[6]?.id;
    while (log.inFlight > 0) {
      const isIn = log.last.items.some(({ id }) => id === culprit);
      await (isIn ? log.last.fail('rolled_back', '22021') : log.last.commit());
    }
    assert.deepEqual(
      (await results).map(({ status }) => status),
      items.map(({ id }) => (id === culprit ? 'rejected' : 'fulfilled')),
    );
    assert.ok(log.batches.length <= 9);
    assert.equal(log.mostInFlight, 1);
    assert.ok(ledger.state().available);
  });

  it('takes anything else that is thrown for an unknown fate', async () => {
    const ledger = new Ledger({
      commit: () => Promise.reject(new Error('a bug')),
      clock,
      log: silentLog,
      voidOf,
    });
    await assert.rejects(ledger.submit(admit(who(1))), problem('audit_unavailable'));
    assert.equal(ledger.state().unsettled, 1);
  });

  it('closes after what waits is in, and takes nothing new', async () => {
    const ledger = open();
    const [one, two] = [ledger.submit(admit(who(1))), ledger.submit(settle(admit(who(2))))];
    await turns();
    const closing = ledger[Symbol.asyncDispose]();
    await assert.rejects(ledger.submit(admit(who(1))), problem('audit_unavailable'));
    const last = ledger.submit(settle(admit(who(3))));
    await log.last.commit();
    await log.last.commit();
    await closing;
    assert.deepEqual(
      (await Promise.all([one, two, last])).map(({ verdict }) => verdict),
      ['admitted', 'settled', 'settled'],
    );
  });
});
