import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Problem } from '#kernel/problem.ts';
import { until } from '../engine/demo.ts';
import { house } from '../fakes/house.ts';

describe('two models, room for one', () => {
  it('A streams, B is asked for: A ends as it should, B waits and then answers, nobody gets an error', async () => {
    const { tenancy, of, ask, told, sound } = house({ a: 10, b: 10 });
    await using _ = tenancy;
    of('a').gate.resolve();
    of('b').gate.resolve();
    const first = ask('a');
    await until(() => of('a').answering === 1);
    const second = ask('b');
    // Newcomers of A wait behind B: its door is closed.
    const third = ask('a');
    await new Promise(setImmediate);
    assert.deepEqual([of('a').answering, of('b').loads], [1, 0]);
    of('a').answer.resolve();
    await first;
    await until(() => of('b').answering === 1);
    assert.deepEqual([of('a').state, of('a').answering], ['unloaded', 0]);
    of('b').answer.resolve();
    await second;
    await third;
    await until(() => told().length >= 5);
    assert.deepEqual(told(), ['a model.woken', 'a model.evicted', 'b model.woken', 'b model.evicted', 'a model.woken']);
    sound();
  });

  it('a hundred requests for a model that is away are one load', async () => {
    const { tenancy, of, ask, sound } = house({ a: 10 }, { maxWaiting: 100 });
    await using _ = tenancy;
    const all = Array.from({ length: 100 }, () => ask('a'));
    await until(() => of('a').state === 'loading');
    of('a').gate.resolve();
    of('a').answer.resolve();
    await Promise.all(all);
    assert.equal(of('a').loads, 1);
    sound();
  });

  it('nothing that is loading is evicted, and a slow load holds up no other model', async () => {
    const { tenancy, of, ask, sound } = house({ slow: 5, quick: 5, third: 5 });
    await using _ = tenancy;
    const slow = ask('slow');
    await until(() => of('slow').state === 'loading');
    of('quick').gate.resolve();
    of('quick').answer.resolve();
    await ask('quick');
    of('third').gate.resolve();
    of('third').answer.resolve();
    await ask('third');
    assert.equal(of('slow').state, 'loading');
    assert.equal(of('quick').state, 'unloaded');
    of('slow').gate.resolve();
    of('slow').answer.resolve();
    await slow;
    sound();
  });

  it('nor is one whose process died and comes again', async () => {
    const { tenancy, of, ask, sound } = house({ a: 10, b: 10 });
    await using _ = tenancy;
    for (const id of ['a', 'b']) {
      of(id).gate.resolve();
      of(id).answer.resolve();
    }
    await ask('a');
    of('a').state = 'loading';
    const other = ask('b');
    // Looked at several times: what comes goes on coming.
    for (let times = 0; times < 3; times++) tenancy.call('a', 'free');
    assert.deepEqual([of('a').state, of('b').loads], ['loading', 0]);
    of('a').state = 'ready';
    tenancy.call('a', 'free');
    await other;
    assert.deepEqual([of('a').state, of('b').loads], ['unloaded', 1]);
    sound();
  });

  it('a pinned model stays, and who can not come says so after his time', async () => {
    const { tenancy, of, ask, desired, sound } = house({ a: 10, b: 10 }, { maxWaitMs: 30 });
    await using _ = tenancy;
    desired.set('a', { pinned: true });
    of('a').gate.resolve();
    tenancy.call('a', 'free');
    await until(() => of('a').state === 'ready');
    await assert.rejects(ask('b'), (error) => error instanceof Problem && error.code === 'model_loading');
    assert.deepEqual([of('a').state, of('b').loads], ['ready', 0]);
    sound();
  });

  it('too many that wait are turned away, and one who hangs up leaves the queue', async () => {
    const { tenancy, of, ask, sound } = house({ a: 10 }, { maxWaiting: 2 });
    await using _ = tenancy;
    const control = new AbortController();
    const first = ask('a', control.signal);
    const second = ask('a');
    await assert.rejects(ask('a'), (error) => error instanceof Problem && error.code === 'overloaded');
    control.abort(new Error('hung up'));
    await assert.rejects(first, /hung up/);
    of('a').gate.resolve();
    of('a').answer.resolve();
    await second;
    sound();
  });

  it('an unload lets answers end, and takes no new ones; its deadline ends the rest', async () => {
    const { tenancy, of, ask, desired, told, sound } = house({ a: 10 });
    await using _ = tenancy;
    of('a').gate.resolve();
    const running = ask('a');
    await until(() => of('a').answering === 1);
    desired.set('a', { inService: false });
    tenancy.dismiss('a');
    await assert.rejects(ask('a'), (error) => error instanceof Problem && error.code === 'model_not_loaded');
    assert.equal(of('a').state, 'ready');
    of('a').answer.resolve();
    await running;
    await until(() => of('a').state === 'unloaded');
    await until(() => told().length === 2);
    assert.deepEqual(told(), ['a model.woken', 'a model.unloaded']);
    sound();

    const hasty = house({ a: 10 }, { drainMs: 0 });
    await using _hasty = hasty.tenancy;
    hasty.of('a').gate.resolve();
    void hasty.ask('a').catch(() => {});
    await until(() => hasty.of('a').answering === 1);
    hasty.desired.set('a', { inService: false });
    hasty.tenancy.dismiss('a');
    await until(() => hasty.of('a').state === 'unloaded');
    assert.deepEqual(hasty.of('a').offences, ['closed while answering']);
  });

  it('what was measured counts from then on, and both figures are known', async () => {
    const { tenancy, of, ask, sound } = house({ a: 2, b: 4 });
    await using _ = tenancy;
    for (const id of ['a', 'b']) {
      of(id).gate.resolve();
      of(id).answer.resolve();
    }
    of('a').memory = 7;
    await ask('a');
    assert.deepEqual(tenancy.usage().used, { ram: 7, vram: 0 });
    assert.deepEqual(tenancy.memoryOf('a'), { estimated: { ram: 2, vram: 0 }, measured: { ram: 7, vram: 0 } });
    await ask('b');
    await until(() => of('a').state === 'unloaded');
    sound();
  });

  it('a load by an admin looks at the file again: what was too large, or not there, may come now', async () => {
    const sizes: Record<string, number> = { a: 11 };
    const { tenancy, of, ask, told, sound } = house(sizes);
    await using _ = tenancy;
    of('a').gate.resolve();
    of('a').answer.resolve();
    await assert.rejects(ask('a'), /needs more memory/);
    sizes['a'] = 9;
    tenancy.call('a', 'room');
    await tenancy.settled();
    await ask('a');
    assert.deepEqual(told(), ['a model.loaded failed', 'a model.loaded']);
    sound();
  });

  it('loads that an admin asks for hold up no answer of another model, nor each other', async () => {
    const { tenancy, of, ask, told, sound } = house({ a: 4, b: 3, c: 3 });
    await using _ = tenancy;
    of('a').gate.resolve();
    const running = ask('a');
    await until(() => of('a').answering === 1);
    tenancy.call('b', 'room');
    tenancy.call('c', 'room');
    await until(() => of('b').loads === 1 && of('c').loads === 1);
    // Both loads hang; A answers old and new requests meanwhile.
    const another = ask('a');
    await until(() => of('a').answering === 2);
    of('a').answer.resolve();
    await running;
    await another;
    of('c').gate.resolve();
    await until(() => told().includes('c model.loaded'));
    assert.equal(of('b').state, 'loading');
    of('b').gate.resolve();
    await tenancy.settled();
    assert.deepEqual(told(), ['a model.woken', 'c model.loaded', 'b model.loaded']);
    sound();
  });

  it('a model larger than everything is refused with both figures', async () => {
    const { tenancy, ask, told } = house({ a: 11 });
    await using _ = tenancy;
    await assert.rejects(ask('a'), /needs more memory.*11 \+ 0 of 10 \+ 0/);
    assert.deepEqual(told(), ['a model.loaded failed']);
  });

  it('ten thousand requests and a hundred evictions leave nothing behind', async () => {
    const { tenancy, of, ask, told, sound } = house({ a: 10, b: 10 }, { maxWaiting: 200 });
    await using _ = tenancy;
    for (const id of ['a', 'b']) {
      of(id).gate.resolve();
      of(id).answer.resolve();
    }
    for (let round = 0; round < 50; round++)
      await Promise.all(Array.from({ length: 200 }, (_unused, at) => ask(at % 2 === 0 ? 'a' : 'b')));
    assert.ok(told().filter((line) => line.includes('evicted')).length >= 50);
    assert.deepEqual([of('a').answering, of('b').answering], [0, 0]);
    sound();
  });
});
