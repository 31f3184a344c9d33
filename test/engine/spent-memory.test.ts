import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SpentMemory } from '#engine/child/spent-memory.ts';
import { openDriver } from '../fakes/driver-desk.ts';

describe('memory that only a collection gives back', () => {
  const until = (vocabulary: number): number => {
    let collections = 0;
    const spent = new SpentMemory(vocabulary, () => collections++);
    let samplers = 0;
    for (; collections === 0; samplers++) spent.sampler();
    return samplers;
  };

  it('is asked for by how many hang there, and sooner where each of them is large', () => {
    assert.equal(until(2048), 128);
    assert.equal(until(152_000), 18);
    assert.equal(until(100_000_000), 1);
  });

  it('is asked for again and again', () => {
    let collections = 0;
    const spent = new SpentMemory(2048, () => collections++);
    for (let samplers = 0; samplers < 1000; samplers++) spent.sampler();
    assert.equal(collections, 7);
  });

  it('hangs on each answer, and on nothing else', async () => {
    const { ask, end, spent } = openDriver(1);
    await end(ask('short'));
    assert.equal(spent.count, 1);
    await end(ask('other '.repeat(300), { subject: 'usr_b' }));
    assert.equal(spent.count, 2);
  });
});
