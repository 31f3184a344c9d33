import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Principals } from '#identity/principals.service.ts';
import { UnknownCredentials } from '#identity/unknown-credentials.ts';
import { sha256Hex } from '#kernel/id.ts';
import type { Principal } from '#kernel/principal.ts';
import { Problem } from '#kernel/problem.ts';

const [HERE, THERE] = ['192.0.2.0/24', '198.51.100.0/24'];
const BURST = 120;

describe('look-ups of credentials that nobody holds', () => {
  it('are bounded per network, and come back one every half second, never more than the burst', () => {
    const unknown = new UnknownCredentials();
    const takes = (n: number, network: string, now: number) =>
      Array.from({ length: n }, () => unknown.take(network, now)).filter((wait) => wait === 0).length;
    assert.equal(takes(1000, HERE, 0), BURST);
    assert.equal(unknown.take(HERE, 499), 1);
    assert.equal(takes(1000, THERE, 0), BURST, 'another network has its own');
    assert.equal(takes(1000, HERE, 500), 1);
    assert.equal(takes(1000, HERE, 5500), 10);
    assert.equal(takes(1000, HERE, 86_400_000), BURST);
  });

  it('one that was ours after all costs its network nothing', () => {
    const unknown = new UnknownCredentials();
    for (let n = 0; n < 10 * BURST; n++) {
      assert.equal(unknown.take(HERE, 0), 0);
      unknown.giveBack(HERE, 0);
    }
    for (let n = 0; n < 5; n++) unknown.giveBack(HERE, 0);
    let left = 0;
    while (unknown.take(HERE, 0) === 0) left++;
    assert.equal(left, BURST, 'what is given back too often gives no credit');
  });

  it('a million networks fill no memory: those past the bound share one budget', () => {
    const unknown = new UnknownCredentials();
    let allowed = 0;
    for (let n = 0; n < 1_000_000; n++) if (unknown.take(`n${n}`, 0) === 0) allowed++;
    assert.equal(allowed, 4096 + BURST);
    assert.equal(unknown.take(HERE, 1000), 0, 'whole again, they are forgotten');
  });

  it('one that was not found is not looked for again for five seconds', () => {
    const unknown = new UnknownCredentials();
    unknown.remember('x', 1000);
    assert.deepEqual(
      [1000, 5999, 6000].map((now) => unknown.isKnownBad('x', now)),
      [true, true, false],
    );
    assert.equal(unknown.isKnownBad('y', 1000), false);
  });
});

describe('principals under a flood of garbage', () => {
  const somebody = { subject: 'usr_1' } as Principal;
  const open = () => {
    const clock = { now: 0, lookups: 0, valid: new Set<string>() };
    const principals = new Principals({
      clock: { now: () => 0, monotonic: () => clock.now } as never,
      store: {
        findPrincipal: async (_kind, ref) => {
          clock.lookups++;
          return clock.valid.has(ref) ? somebody : null;
        },
      },
    });
    const find = (secret: string, network = HERE, fresh = false) => principals.find('session', secret, fresh, network);
    const flood = async (n: number) => {
      const codes = new Map<string, number>();
      for (let i = 0; i < n; i++) {
        const code = await find(`garbage ${Math.random()}`).then(
          () => 'looked up',
          (error: unknown) => (error instanceof Problem ? error.code : 'thrown'),
        );
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
      return Object.fromEntries(codes);
    };
    return { clock, principals, find, flood };
  };

  it('makes so many look-ups and no more; the rest are told to wait', async () => {
    const { clock, flood } = open();
    assert.deepEqual(await flood(1000), { 'looked up': BURST, too_many_attempts: 1000 - BURST });
    assert.equal(clock.lookups, BURST);
  });

  it('never holds up whoever is known here: cached, gone stale, or decided anew', async () => {
    const { clock, find, flood } = open();
    clock.valid.add(sha256Hex('mine'));
    assert.equal(await find('mine'), somebody);
    await flood(1000);
    assert.equal(await find('mine'), somebody);
    assert.equal(await find('mine', HERE, true), somebody);
    clock.now += 61_000;
    await flood(1000);
    assert.equal(await find('mine'), somebody, 'the cache has run out, he is known all the same');
  });

  it('nor a session that was just opened here, nor another network', async () => {
    const { clock, principals, find, flood } = open();
    await flood(1000);
    clock.valid.add(sha256Hex('new'));
    principals.expect('new');
    assert.equal(await find('new'), somebody);
    clock.valid.add(sha256Hex('elsewhere'));
    assert.equal(await find('elsewhere', THERE), somebody);
    clock.valid.add(sha256Hex('unheard of'));
    await assert.rejects(find('unheard of'), { code: 'too_many_attempts' });
  });

  it('asks the database once for one that is sent again and again', async () => {
    const { clock, find } = open();
    for (let n = 0; n < 500; n++) assert.equal(await find('the same'), null);
    assert.equal(clock.lookups, 1);
    clock.now += 5000;
    assert.equal(await find('the same'), null);
    assert.equal(clock.lookups, 2);
  });

  it('one that held and holds no more is looked up again as soon as it may hold anew', async () => {
    const { clock, find } = open();
    const ref = sha256Hex('mine');
    clock.valid.add(ref);
    await find('mine');
    clock.valid.delete(ref);
    assert.equal(await find('mine', HERE, true), null);
    clock.valid.add(ref);
    assert.equal(await find('mine'), somebody);
  });
});
