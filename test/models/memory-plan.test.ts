import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type PlanRules, plan, type Residence, type Room, type Tenant } from '#models/memory-plan.ts';

const RULES: PlanRules = { idleUnloadMs: 0, patienceMs: 100, leastStayMs: 1000 };
const room = (ram: number): Room => ({ ram, vram: 0 });
const tenant = (id: string, change: Partial<Tenant> = {}): Tenant => ({
  ...{ id, residence: 'away', needs: room(10), inService: true, pinned: false, answering: 0 },
  ...{ waiting: 0, waitingSince: 0, called: 'no', lastUsed: 0, hereSince: 0 },
  ...change,
});
const NOW = 10_000;
const decide = (tenants: readonly Tenant[], budget = 10, rules: Partial<PlanRules> = {}) =>
  plan(tenants, room(budget), { ...RULES, ...rules }, NOW);
const evicted = (tenants: readonly Tenant[], budget = 10, rules: Partial<PlanRules> = {}) =>
  decide(tenants, budget, rules).evict.map(({ id }) => id);

describe('the memory plan', () => {
  it('loads what is asked for while there is room, several at once', () => {
    const asked = { waiting: 1, waitingSince: NOW };
    assert.deepEqual(decide([tenant('a', asked), tenant('b', asked)], 20).load, ['a', 'b']);
    assert.deepEqual(decide([tenant('a', asked), tenant('b', asked)], 19).load, ['a']);
  });

  it('at the start nobody goes so that another may come', () => {
    const { load, evict } = decide([tenant('a', { residence: 'here' }), tenant('b', { called: 'free' })]);
    assert.deepEqual([load, evict], [[], []]);
    assert.deepEqual(evicted([tenant('a', { residence: 'here' }), tenant('b', { called: 'room' })]), ['a']);
  });

  it('the least recently used idle model goes, and only as many as are needed', () => {
    const here = (id: string, lastUsed: number, ram = 10) =>
      tenant(id, { residence: 'here', lastUsed, needs: room(ram) });
    const asked = tenant('new', { waiting: 1, waitingSince: NOW });
    assert.deepEqual(evicted([here('young', 9), here('old', 1), asked], 20), ['old']);
    // The small old one makes no room that the big one would not make alone.
    assert.deepEqual(evicted([here('big', 9, 15), here('small', 1, 5), asked], 20), ['big']);
  });

  it('each GPU has a budget of its own: who lies on another one is in nobody’s way, and makes no room', () => {
    const on = (...perGpu: number[]): Room => ({ ram: 1, vram: perGpu.reduce((sum, one) => sum + one), perGpu });
    const budget: Room = { ram: 100, vram: 20, perGpu: [10, 10] };
    const decided = (...all: Tenant[]) => plan(all, budget, RULES, NOW);
    const here = (id: string, lastUsed: number, needs: Room) => tenant(id, { residence: 'here', lastUsed, needs });
    const asked = (id: string, needs: Room) => tenant(id, { waiting: 1, waitingSince: NOW, needs });
    // In sum there would be room for both.
    const first = here('first', 1, on(6, 0));
    assert.deepEqual(decided(first, asked('other', on(0, 6))).load, ['other']);
    const { load, evict } = decided(here('elsewhere', 0, on(0, 6)), first, asked('same', on(6, 0)));
    assert.deepEqual([load, evict], [[], [{ id: 'first', why: 'room', for: 'same' }]]);
    assert.deepEqual(decided(asked('both', on(8, 8)), asked('one', on(3, 0))).load, ['both']);
    assert.deepEqual(decided(asked('large', on(12, 0))).tooLarge, ['large']);
    // Measured to be more than was thought.
    const grown = [
      here('elsewhere', 0, on(0, 6)),
      here('idle', 1, on(5, 0)),
      { ...first, needs: on(6, 0), pinned: true },
    ];
    assert.deepEqual(decided(...grown).evict, [{ id: 'idle', why: 'budget', for: null }]);
  });

  it('no one goes where all together would not be enough', () => {
    const idle = tenant('idle', { residence: 'here', needs: room(5) });
    const pinned = tenant('pinned', { residence: 'here', needs: room(5), pinned: true });
    assert.deepEqual(evicted([idle, pinned, tenant('new', { waiting: 1, waitingSince: 0 })]), []);
  });

  it('(1) a model that answers is waited for: its door closes after a while, it never goes while it answers', () => {
    const busy = tenant('a', { residence: 'here', answering: 3 });
    const early = tenant('b', { waiting: 1, waitingSince: NOW - 50 });
    assert.deepEqual(decide([busy, early]), { load: [], evict: [], closed: [], tooLarge: [] });
    const late = tenant('b', { waiting: 1, waitingSince: NOW - 100 });
    assert.deepEqual(decide([busy, late]), { load: [], evict: [], closed: ['a'], tooLarge: [] });
    assert.deepEqual(decide([{ ...busy, answering: 0, waiting: 5, waitingSince: NOW }, late]).evict, [
      { id: 'a', why: 'room', for: 'b' },
    ]);
  });

  it('(1) who has just come stays for a while: two that fit once take turns', () => {
    const fresh = tenant('a', { residence: 'here', answering: 1, hereSince: NOW - 999 });
    assert.deepEqual(decide([fresh, tenant('b', { waiting: 1, waitingSince: 0 })]).closed, []);
  });

  it('one who can not be helped does not stand before those who can', () => {
    const busy = tenant('a', { residence: 'here', answering: 1, pinned: true });
    const stuck = tenant('b', { waiting: 1, waitingSince: 0, needs: room(10) });
    const small = tenant('c', { waiting: 1, waitingSince: NOW, needs: room(2) });
    assert.deepEqual(decide([busy, stuck, small], 13).load, ['c']);
  });

  it('but the room that he was promised is not given to who came later', () => {
    const leaving = tenant('a', { residence: 'leaving', needs: room(8) });
    const first = tenant('b', { waiting: 1, waitingSince: 0 });
    const later = tenant('c', { waiting: 1, waitingSince: NOW, needs: room(2) });
    assert.deepEqual(decide([leaving, first, later], 10).load, []);
  });

  it('a model larger than the budget is refused and costs nobody his place', () => {
    const giant = tenant('b', { waiting: 1, waitingSince: 0, needs: room(11) });
    const { tooLarge, evict } = decide([tenant('a', { residence: 'here' }), giant]);
    assert.deepEqual([tooLarge, evict], [['b'], []]);
  });

  it('idle models leave after their time, pinned ones never', () => {
    const old = { residence: 'here', lastUsed: NOW - 500 } as const;
    const tenants = [tenant('a', old), tenant('b', { ...old, pinned: true }), tenant('c', { ...old, answering: 1 })];
    assert.deepEqual(evicted(tenants, 100, { idleUnloadMs: 500 }), ['a']);
    assert.deepEqual(evicted(tenants, 100, { idleUnloadMs: 501 }), []);
  });

  it('what was measured to be more than thought is made up for by idle models', () => {
    const here = { residence: 'here', needs: room(8) } as const;
    assert.deepEqual(evicted([tenant('a', { ...here, lastUsed: 1 }), tenant('b', { ...here, answering: 1 })], 10), [
      'a',
    ]);
  });

  const residence = fc.constantFrom<Residence>('away', 'coming', 'here', 'leaving', 'failed');
  const tenants = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(...'abcdefgh'),
      residence,
      needs: fc.record({ ram: fc.nat(12), vram: fc.nat(6) }),
      inService: fc.boolean(),
      pinned: fc.boolean(),
      answering: fc.nat(2),
      waiting: fc.nat(2),
      waitingSince: fc.nat(NOW),
      called: fc.constantFrom<Tenant['called']>('no', 'free', 'room'),
      lastUsed: fc.nat(NOW),
      hereSince: fc.nat(NOW),
    }),
    { selector: ({ id }) => id, maxLength: 8 },
  );

  it('whatever the house looks like: nobody protected goes, nothing exceeds the budget, nobody goes in vain', () => {
    fc.assert(
      fc.property(
        tenants,
        fc.record({ ram: fc.nat(30), vram: fc.nat(15) }),
        fc.nat(2000),
        (all, budget, idleUnloadMs) => {
          const found = plan(all, budget, { ...RULES, idleUnloadMs }, NOW);
          const of = (id: string) => all.find((one) => one.id === id) as Tenant;
          const weight = (ids: readonly string[], axis: 'ram' | 'vram') =>
            ids.reduce((total, id) => total + of(id).needs[axis], 0);
          for (const { id, why, for: whom } of found.evict) {
            const { residence: where, pinned, answering } = of(id);
            assert.deepEqual([where, pinned, answering], ['here', false, 0]);
            assert.equal(why === 'room', whom !== null);
          }
          const inside = all
            .filter(({ residence: where }) => ['coming', 'here', 'leaving'].includes(where))
            .map(({ id }) => id);
          for (const axis of ['ram', 'vram'] as const) {
            const used = weight(inside, axis);
            const loaded = weight(found.load, axis);
            if (found.load.length > 0 && loaded > 0) assert.ok(used + loaded <= budget[axis]);
          }
          for (const id of found.load) {
            const { residence: where, inService } = of(id);
            assert.deepEqual([where, inService], ['away', true]);
          }
          for (const id of found.closed) assert.equal(of(id).pinned, false);
          assert.equal(
            new Set([...found.load, ...found.evict.map(({ id }) => id), ...found.closed]).size,
            found.load.length + found.evict.length + found.closed.length,
          );
          if (!all.some(({ waiting, called }) => waiting > 0 || called !== 'no'))
            assert.deepEqual(
              found.evict.filter(({ why }) => why === 'room'),
              [],
            );
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('everybody who fits gets his turn: arrivals never stop, answers end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 2, maxLength: 5 }), (sizes) => {
        // Each model has requests at all times; each answer lasts one tick. Everyone must be served in the end.
        let all = sizes.map((size, at) => tenant(`m${at}`, { needs: room(size), waiting: 1, waitingSince: at }));
        const served = new Set<string>();
        for (let tick = 0; served.size < sizes.length; tick++) {
          assert.ok(tick < 200, `only ${[...served]} of ${sizes}`);
          const now = tick * 600;
          const { load, evict, closed } = plan(all, room(10), RULES, now);
          all = all.map((one): Tenant => {
            if (one.residence === 'leaving') return { ...one, residence: 'away', waiting: 1, waitingSince: now };
            if (evict.some(({ id }) => id === one.id)) return { ...one, residence: 'leaving', waiting: 0 };
            if (load.includes(one.id)) return { ...one, residence: 'coming', waiting: 1 };
            if (one.residence === 'coming' || one.residence === 'here') {
              served.add(one.id);
              const open = !closed.includes(one.id);
              const hereSince = one.residence === 'coming' ? now : one.hereSince;
              return {
                ...one,
                residence: 'here',
                hereSince,
                waiting: open ? 0 : 1,
                answering: open ? 1 : 0,
                lastUsed: now,
              };
            }
            return one;
          });
        }
      }),
      { numRuns: 300 },
    );
  });
});
