import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryWatch } from '#engine/llama/memory-watch.ts';
import { memoryNow, memoryOf } from '#engine/llama/process-tree.system.ts';

describe('what a model’s process takes', () => {
  const open = () => {
    const asked: PromiseWithResolvers<number | null>[] = [];
    const watch = new MemoryWatch(() => {
      const answer = Promise.withResolvers<number | null>();
      asked.push(answer);
      return answer.promise;
    });
    const beats = (count: number, pid: number | null = 1) =>
      Array.from({ length: count }, () => watch.beat(pid)).at(-1);
    return { asked, watch, beats };
  };

  it('is looked at twice a minute, and the most of it is kept', async () => {
    const { asked, watch, beats } = open();
    watch.begin(100);
    await beats(29);
    assert.equal(asked.length, 0);
    const looked = beats(1);
    asked[0]?.resolve(150);
    await looked;
    assert.equal(watch.most, 150);
    const again = beats(30);
    asked[1]?.resolve(120);
    await again;
    assert.equal(watch.most, 150);
  });

  it('never twice at once, and never of a process that has no number', async () => {
    const { asked, watch, beats } = open();
    watch.begin(null);
    void beats(90);
    assert.equal(asked.length, 1);
    asked[0]?.resolve(null);
    assert.equal(watch.most, null);
    await beats(90, null);
    assert.equal(asked.length, 1);
  });

  it('is the next one’s once that is ready, whatever is found of the last', async () => {
    const { asked, watch, beats } = open();
    watch.begin(100);
    const looked = beats(30);
    watch.begin(50);
    asked[0]?.resolve(500);
    await looked;
    assert.equal(watch.most, 50);
  });

  it('is read without keeping anybody waiting', { skip: memoryOf(process.pid) === null }, async () => {
    assert.ok(((await memoryNow(process.pid)) ?? 0) > 2 ** 20);
    assert.equal(await memoryNow(2 ** 30), null);
  });
});
