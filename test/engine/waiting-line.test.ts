import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { priorityBy } from '#engine/priority.ts';
import { FairQueue, WaitingLine } from '#engine/waiting-line.ts';

describe('FairQueue', () => {
  it('serves subjects in turn, each in his own order', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item.slice(0, 1), item);
    assert.equal(queue.size, 6);
    const served = Array.from({ length: 7 }, () => queue.shift());
    assert.deepEqual(served, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', undefined]);
    assert.equal(queue.size, 0);
  });

  it('forgets what is taken out, once', () => {
    const queue = new FairQueue<string>();
    queue.push('a', 'a1');
    queue.push('b', 'b1');
    assert.equal(queue.remove('a', 'a1'), true);
    assert.equal(queue.remove('a', 'a1'), false);
    assert.equal(queue.shift(), 'b1');
    assert.equal(queue.size, 0);
  });
});

describe('WaitingLine', () => {
  const line = (...items: readonly string[]) => {
    const waiting = new WaitingLine<string>();
    for (const item of items) waiting.push(item.slice(0, -1), item.startsWith('b') ? 'batch' : 'interactive', item);
    return waiting;
  };

  it('keeps the turns within each kind fair', () => {
    const waiting = line('bx1', 'bx2', 'by1', 'p1', 'p2', 'q1');
    const served = Array.from({ length: 7 }, () => waiting.shift());
    assert.deepEqual(served, ['p1', 'q1', 'p2', 'bx1', 'by1', 'bx2', undefined]);
  });

  it('only what waits while others go before it grows older', () => {
    const waiting = line('p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7');
    for (let i = 0; i < 5; i++) waiting.shift();
    waiting.push('b', 'batch', 'b1');
    assert.deepEqual([waiting.shift(), waiting.shift(), waiting.shift()], ['p6', 'p7', 'b1']);
  });

  it('makes room at the cost of whoever has most, of his batch requests first', () => {
    assert.equal(line('p1', 'p2', 'p3', 'q1').displaceFor('r', 'interactive'), 'p3');
    const both = line('p1', 'p2');
    both.push('p', 'batch', 'late');
    assert.equal(both.displaceFor('q', 'batch'), 'late');
  });

  it('people displace work that can wait, but not more than half of the line', () => {
    assert.equal(line('bx1', 'by1', 'bz1', 'p1').displaceFor('q', 'interactive'), 'bx1');
    assert.equal(line('bx1', 'by1', 'p1', 'q1').displaceFor('r', 'interactive'), undefined);
    assert.equal(line('bx1', 'by1', 'bz1', 'p1').displaceFor('q', 'batch'), undefined);
    assert.equal(line('p1', 'q1').displaceFor('b', 'batch'), undefined);
  });
});

describe('priorityBy', () => {
  const of = priorityBy(['service']);
  it('comes from roles, and a caller can only step back', () => {
    assert.equal(of({ roles: ['analyst'] }, null), 'interactive');
    assert.equal(of({ roles: ['service'] }, undefined), 'batch');
    assert.equal(of({ roles: ['service', 'analyst'] }, null), 'interactive');
    assert.equal(of({ roles: ['analyst'] }, 'flex'), 'batch');
    for (const claim of ['priority', 'default', 'auto', 'scale'])
      assert.equal(of({ roles: ['service'] }, claim), 'batch');
  });
});
