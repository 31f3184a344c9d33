import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Roster } from '#kernel/roster.ts';

describe('a roster', () => {
  it('knows who is there, whoever left in between', () => {
    const roster = new Roster<string>();
    const leave = ['a', 'b', 'c'].map((name) => roster.add(name));
    assert.equal(leave[1]?.(), true);
    roster.add('d');
    assert.deepEqual([roster.size, roster.members().sort()], [3, ['a', 'c', 'd']]);
  });

  it('lets everybody leave once, also where somebody else has his place by then', () => {
    const roster = new Roster<string>();
    const leave = roster.add('a');
    assert.deepEqual([leave(), leave()], [true, false]);
    roster.add('b');
    assert.equal(leave(), false);
    assert.deepEqual(roster.members(), ['b']);
  });

  it('takes up no more places than there were members at once', () => {
    const roster = new Roster<number>();
    for (let n = 0; n < 10_000; n++) roster.add(n)();
    assert.equal(roster.size, 0);
    const who = Array.from({ length: 3 }, (_, n) => roster.add(n));
    assert.equal(roster.size, who.length);
    assert.deepEqual(roster.members().sort(), [0, 1, 2]);
  });
});
