import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { networkOf, RefusalBudget, type RefusalKey, SINGLE_RECORDS_PER_MINUTE } from '#audit/refusal-budget.ts';

const key = (code = 'forbidden', source = '10.0.0.0/24', subject = 'usr_1'): RefusalKey => ({ code, source, subject });

describe('the budget of refusals', () => {
  it('lets the first ten of a sort be recorded singly, per code, network and subject', () => {
    const budget = new RefusalBudget();
    for (let n = 0; n < SINGLE_RECORDS_PER_MINUTE; n++) {
      assert.ok(budget.open(key()));
      assert.ok(budget.open(key()), 'looking takes nothing');
      budget.spend(key());
    }
    assert.equal(SINGLE_RECORDS_PER_MINUTE, 10);
    assert.equal(budget.open(key()), false);
    for (const other of [key('not_found'), key('forbidden', '10.0.1.0/24'), key('forbidden', '10.0.0.0/24', 'usr_2')]) {
      assert.ok(budget.open(other));
    }
    assert.deepEqual(budget.flush(), [], 'nothing was only counted');
    assert.ok(budget.open(key()), 'a new minute');
  });

  it('sums up the others of a minute: how many, first, last, how many subjects', () => {
    const budget = new RefusalBudget();
    for (const now of [0, 5, 9]) budget.count(key(), now);
    budget.count(key('not_found'), 7);
    assert.deepEqual(budget.flush(), [
      { key: key(), count: 3, first: 0, last: 9, subjects: 1 },
      { key: key('not_found'), count: 1, first: 7, last: 7, subjects: 1 },
    ]);
    assert.deepEqual(budget.flush(), []);
  });

  it('tells 4,096 sorts apart and puts all others together, by code', () => {
    const budget = new RefusalBudget();
    for (let n = 0; n < 100_000; n++) budget.count(key(n % 2 ? 'a' : 'b', `net ${n}`, `usr_${n}`), n);
    const summaries = budget.flush();
    assert.equal(summaries.length, 4096 + 2);
    const others = summaries.filter(({ key: { source } }) => source === 'others');
    assert.deepEqual(
      others.map(({ key: { code, subject }, count, subjects }) => [code, subject, count, subjects]),
      [
        ['b', 'others', 47_952, 64],
        ['a', 'others', 47_952, 64],
      ],
    );
    assert.equal(
      summaries.reduce((sum, { count }) => sum + count, 0),
      100_000,
      'none is lost',
    );
  });

  it('records nothing singly of what it can not tell apart, and remembers those it knew', () => {
    const budget = new RefusalBudget();
    for (let n = 0; n < 5000; n++) budget.open(key('x', `net ${n}`));
    assert.equal(budget.open(key('x', 'net 4095')), true);
    assert.equal(budget.open(key('x', 'net 4096')), false);
    assert.equal(budget.open(key('y', 'a new one')), false);
  });

  it('counts on what could not be recorded', () => {
    const budget = new RefusalBudget();
    budget.count(key(), 1);
    budget.count(key(), 3);
    const [summary] = budget.flush();
    assert.ok(summary);
    budget.count(key(), 60);
    budget.restore(summary);
    budget.restore({ ...summary, key: key('y'), subjects: 9 });
    assert.deepEqual(budget.flush(), [
      { key: key(), count: 3, first: 1, last: 60, subjects: 1 },
      { key: key('y'), count: 2, first: 1, last: 3, subjects: 9 },
    ]);
  });
});

describe('the network of an address', () => {
  const VECTORS: Record<string, string> = {
    '192.0.2.77': '192.0.2.0/24',
    '255.255.255.255': '255.255.255.0/24',
    '::ffff:192.0.2.77': '192.0.2.0/24',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
    '2001:DB8:0001:0002::1': '2001:db8:1:2::/64',
    '2001:db8::1': '2001:db8:0:0::/64',
    '2001:db8:1::': '2001:db8:1:0::/64',
    '::1': '0:0:0:0::/64',
    '::': '0:0:0:0::/64',
    'fe80::1%eth0': 'fe80:0:0:0::/64',
    '1:2:3::4:5:6:7': '1:2:3:0::/64',
    '': 'unknown',
    'a socket': 'unknown',
  };
  for (const [address, network] of Object.entries(VECTORS)) {
    it(`of ${address || 'nobody'} is ${network}`, () => assert.equal(networkOf(address), network));
  }
});
