import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Problem } from '#kernel/problem.ts';
import { NEVER, until } from '../engine/demo.ts';
import { house } from '../fakes/house.ts';

describe('a model that an admin calls', () => {
  it('a load of what is in memory already calls nobody: evicted later it stays away until it is asked for', async () => {
    const { tenancy, of, ask, told, sound } = house({ a: 10, b: 10 });
    await using _ = tenancy;
    for (const id of ['a', 'b']) {
      of(id).gate.resolve();
      of(id).answer.resolve();
    }
    tenancy.call('a', 'room');
    await until(() => told().length === 1);
    tenancy.call('a', 'room');
    await ask('b');
    await tenancy.settled();
    assert.deepEqual(told(), ['a model.loaded', 'a model.evicted', 'b model.woken']);
    // The same while it comes.
    of('a').gate = Promise.withResolvers();
    tenancy.call('a', 'room');
    await until(() => of('a').state === 'loading');
    tenancy.call('a', 'room');
    of('a').gate.resolve();
    await tenancy.settled();
    await ask('b');
    await tenancy.settled();
    assert.deepEqual([of('a').state, of('b').state], ['unloaded', 'ready']);
    sound();
  });

  it('a load of what failed a moment ago, unseen as yet, loads it', async () => {
    const { tenancy, of, sound } = house({ a: 10 });
    await using _ = tenancy;
    of('a').gate.resolve();
    tenancy.call('a', 'free');
    await until(() => of('a').state === 'ready');
    await tenancy.settled();
    of('a').state = 'failed';
    tenancy.call('a', 'room');
    await tenancy.settled();
    assert.deepEqual([of('a').state, of('a').loads], ['ready', 2]);
    sound();
  });
});

describe('the line before a model that is away', () => {
  it('one user who fills it makes room for another, who comes in as the second', async () => {
    const { tenancy, of, ask, sound } = house({ a: 10 }, { maxWaiting: 4 });
    await using _ = tenancy;
    const many = Array.from({ length: 4 }, () => ask('a', NEVER, 'usr_many'));
    const ends = Promise.allSettled(many);
    const one = ask('a', NEVER, 'usr_one');
    await assert.rejects(ask('a', NEVER, 'usr_many'), (error) => {
      return error instanceof Problem && error.code === 'overloaded' && error.detail.retryAfter === 10;
    });
    of('a').gate.resolve();
    of('a').answer.resolve();
    await one;
    assert.deepEqual(
      (await ends).map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled', 'rejected'],
    );
    assert.deepEqual(of('a').asked, ['usr_many', 'usr_one', 'usr_many', 'usr_many']);
    sound();
  });
});
